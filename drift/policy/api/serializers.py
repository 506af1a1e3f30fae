"""The API's versions, drafts and proposals. Unknown input keys are rejected."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.plain_text import one_line, several_lines
from drift.policy.domain.default_blocking import BLOCK_BY_DEFAULT
from drift.policy.domain.detection import DETECT_NOTHING
from drift.policy.domain.diff import diff
from drift.policy.domain.document_schema import REFERENCE
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalComment, ProposalState
from drift.policy.queries.lacking_sensors import LEAVE_BEHIND
from drift.web.requests import MAX_BIGINT
from drift.web.serializers import StrictSerializer

CONFIRMATION: Final = (
    f"“{DETECT_NOTHING}”, where the policy reports no kind of drift; “{LEAVE_BEHIND}”, where live sensors reject it,"
    f" or disable rules of it; “{BLOCK_BY_DEFAULT}”, where the default rule begins to block."
    " Several are joined by commas."
)


@extend_schema_field(OpenApiTypes.OBJECT)
class DocumentField(serializers.JSONField):
    """A stored policy document."""


@extend_schema_field(REFERENCE)
class NewDocumentField(serializers.JSONField):
    """A policy document to store, which sensor.policy validates."""


@extend_schema_field({"description": "Any JSON: what is wrong with it is in the response."})
class CheckedDocumentField(serializers.JSONField):
    """What may or may not be a policy document."""


class VersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    """A version without its document."""

    author = serializers.EmailField(source="author.email", default=None, allow_null=True, read_only=True)
    proposed_by = serializers.EmailField(
        source="proposed_by.email",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="The other person, whose proposal `author` accepted.",
    )

    class Meta:
        model = PolicyVersion
        fields: ClassVar = [
            *("number", "digest", "base", "restored_from"),
            *("author", "proposed_by", "comment", "created_at"),
        ]


class FaultSerializer(serializers.Serializer[Any]):
    """One error in a document."""

    rule = serializers.CharField()
    index = serializers.IntegerField(allow_null=True)
    field = serializers.CharField()
    message = serializers.CharField()


class SuggestionSerializer(serializers.Serializer[Any]):
    """What was probably meant: values, entries or accounts in place of the one that was found."""

    words = serializers.CharField()
    property = serializers.CharField(required=False, help_text="Another property for the condition.")
    any_of = serializers.ListField(child=serializers.DictField(child=serializers.CharField()), required=False)
    entries = serializers.ListField(child=serializers.CharField(), required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add the field whose name Python keeps for itself."""
        beside = serializers.ListField(
            child=serializers.DictField(child=serializers.CharField()),
            required=False,
            help_text="Values that need a condition of their own beside it.",
        )
        return {**super().get_fields(), "and": beside}


class WarningSerializer(FaultSerializer):
    """A value of a valid document that never matches, or hardly (docs/policy-semantics.md#lint)."""

    level = serializers.ChoiceField(choices=("error", "warning"), help_text="error: impossible by its form.")
    suggestion = SuggestionSerializer(allow_null=True)


class SavedVersionSerializer(VersionSerializer):
    """A version that was saved, and the warnings of its document."""

    warnings = WarningSerializer(many=True, read_only=True)

    class Meta(VersionSerializer.Meta):
        fields: ClassVar = [*VersionSerializer.Meta.fields, "warnings"]


class VersionDocumentSerializer(VersionSerializer):
    """A version with its document."""

    document = DocumentField()

    class Meta(VersionSerializer.Meta):
        fields: ClassVar = [*VersionSerializer.Meta.fields, "document"]


class VersionListSerializer(serializers.Serializer[Any]):
    """Versions, newest first. `next` is the `before` of the next page, null at the end."""

    results = VersionSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class ListQuerySerializer(StrictSerializer):
    """Which part of the list to return."""

    before = serializers.IntegerField(required=False, min_value=1, help_text="Only versions below this number.")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class SaveDocumentSerializer(StrictSerializer):
    """A whole document to save over version `base`."""

    base = serializers.IntegerField(min_value=1)
    document = NewDocumentField()
    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000, validators=[several_lines])
    confirmation = serializers.CharField(
        default="", allow_blank=True, max_length=100, validators=[one_line], help_text=CONFIRMATION
    )


class RestoreSerializer(StrictSerializer):
    """The version that the caller read as the latest, and a comment on the new one."""

    base = serializers.IntegerField(min_value=1)
    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000, validators=[several_lines])
    confirmation = serializers.CharField(
        default="", allow_blank=True, max_length=100, validators=[one_line], help_text=CONFIRMATION
    )


class ProposeSerializer(StrictSerializer):
    """A comment on the proposal."""

    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000, validators=[several_lines])


class SaveDraftSerializer(ProposeSerializer):
    """A comment on the version."""

    confirmation = serializers.CharField(
        default="", allow_blank=True, max_length=100, validators=[one_line], help_text=CONFIRMATION
    )


class DocumentSerializer(StrictSerializer):
    """A document alone."""

    document = NewDocumentField()


class CheckedDocumentSerializer(StrictSerializer):
    """A document to check."""

    document = CheckedDocumentField(allow_null=True)


class DraftSerializer(serializers.Serializer[Any]):
    """Your draft; `revision` 0 means that you have none yet."""

    base = serializers.IntegerField()
    revision = serializers.IntegerField()
    latest = serializers.IntegerField()
    changes = serializers.ListField(child=serializers.DictField())
    document = DocumentField()
    warnings = WarningSerializer(many=True)


class CheckSerializer(serializers.Serializer[Any]):
    """The errors, in the document's order; empty where it can be saved, and then its warnings."""

    faults = FaultSerializer(many=True)
    warnings = WarningSerializer(many=True)


class ProposalSerializer(serializers.ModelSerializer[PolicyProposal]):
    """A proposal without its document. `taken_by` is the admin who copied it to their draft.

    `restores` is the old version that it proposes to restore.
    """

    author = serializers.EmailField(source="author.email", read_only=True)
    taken_by = serializers.EmailField(source="taken_by.email", default=None, allow_null=True, read_only=True)
    decided_by = serializers.EmailField(source="decided_by.email", default=None, allow_null=True, read_only=True)

    class Meta:
        model = PolicyProposal
        fields: ClassVar = [
            *("id", "author", "base", "restores", "comment", "created_at", "state", "taken_by"),
            *("decided_by", "decided_at", "word", "version"),
        ]


class ProposalDocumentSerializer(ProposalSerializer):
    """A proposal with its document and its changes."""

    document = DocumentField()
    changes = serializers.SerializerMethodField()

    class Meta(ProposalSerializer.Meta):
        fields: ClassVar = [*ProposalSerializer.Meta.fields, "document", "changes"]

    def get_changes(self, proposal: PolicyProposal) -> list[dict[str, Any]]:
        return [change.as_json() for change in diff(proposal.base.document, proposal.document)]


class ProposalListSerializer(serializers.Serializer[Any]):
    """Proposals, newest first. `next` is the `before` of the next page, null at the end."""

    results = ProposalSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class ProposalQuerySerializer(StrictSerializer):
    """Which part of the list to return."""

    state = serializers.ChoiceField(ProposalState.choices, required=False)
    before = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_BIGINT, help_text="Only proposals with a lower id."
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class ProposalCommentSerializer(serializers.ModelSerializer[ProposalComment]):
    """A comment on a proposal."""

    author = serializers.EmailField(source="author.email", read_only=True)

    class Meta:
        model = ProposalComment
        fields: ClassVar = ["id", "author", "text", "created_at"]


class CommentQuerySerializer(StrictSerializer):
    """Which part of the list to return."""

    after = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_BIGINT, help_text="Only comments with a higher id."
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class NewCommentSerializer(StrictSerializer):
    """A comment, never blank."""

    text = serializers.CharField(max_length=1_000, validators=[several_lines])


class AcceptSerializer(RestoreSerializer):
    """The version that the caller read as the latest, and a comment on the new one."""


class DeclineSerializer(StrictSerializer):
    """The comment to the author."""

    word = serializers.CharField(max_length=1_000, validators=[several_lines])
