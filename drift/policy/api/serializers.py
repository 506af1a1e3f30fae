"""The API's shapes of versions and drafts. Unknown keys are refused."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from drift.policy.domain.diff import diff
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalState


@extend_schema_field(OpenApiTypes.OBJECT)
class DocumentField(serializers.JSONField):
    """A policy document; sensor.policy checks it."""


class StrictSerializer(serializers.Serializer[Any]):
    """Input from people: a key that nobody reads is a mistake that they want to hear of."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = self.initial_data
        unknown = sorted(set(given) - set(self.fields)) if isinstance(given, dict) else []
        if unknown:
            raise serializers.ValidationError({unknown[0]: ["unknown key"]})
        return attrs


class VersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    """A version without its document."""

    author = serializers.EmailField(source="author.email", default=None, allow_null=True, read_only=True)

    class Meta:
        model = PolicyVersion
        fields: ClassVar = ["number", "digest", "base", "restored_from", "author", "comment", "created_at"]


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
    """What of the list is wanted."""

    before = serializers.IntegerField(required=False, min_value=1, help_text="Only versions below this number.")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class SaveDocumentSerializer(StrictSerializer):
    """A whole document to save over version `base`."""

    base = serializers.IntegerField(min_value=1)
    document = DocumentField()
    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000)


class RestoreSerializer(StrictSerializer):
    """Which version the caller took for the latest, and what to say of the new one."""

    base = serializers.IntegerField(min_value=1)
    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000)


class SaveDraftSerializer(StrictSerializer):
    """What to say of the version."""

    comment = serializers.CharField(default="", allow_blank=True, max_length=1_000)


class DocumentSerializer(StrictSerializer):
    """A document alone."""

    document = DocumentField()


class DraftSerializer(serializers.Serializer[Any]):
    """Your draft: `revision` 0 means that there is none yet."""

    base = serializers.IntegerField()
    revision = serializers.IntegerField()
    latest = serializers.IntegerField()
    changes = serializers.ListField(child=serializers.DictField())
    document = DocumentField()


class FaultSerializer(serializers.Serializer[Any]):
    """One thing wrong with a document."""

    rule = serializers.CharField()
    index = serializers.IntegerField(allow_null=True)
    field = serializers.CharField()
    message = serializers.CharField()


class CheckSerializer(serializers.Serializer[Any]):
    """What is wrong, in the document's order; nothing where it may be saved."""

    faults = FaultSerializer(many=True)


class ProposalSerializer(serializers.ModelSerializer[PolicyProposal]):
    """A proposal without its document. `taken_by`: the admin in whose draft it is."""

    author = serializers.EmailField(source="author.email", read_only=True)
    taken_by = serializers.EmailField(source="taken_by.email", default=None, allow_null=True, read_only=True)
    decided_by = serializers.EmailField(source="decided_by.email", default=None, allow_null=True, read_only=True)

    class Meta:
        model = PolicyProposal
        fields: ClassVar = [
            *("id", "author", "base", "comment", "created_at", "state", "taken_by"),
            *("decided_by", "decided_at", "word", "version"),
        ]


class ProposalDocumentSerializer(ProposalSerializer):
    """A proposal with its document, and what it changes."""

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
    """What of the list is wanted."""

    state = serializers.ChoiceField(ProposalState.choices, required=False)
    before = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Only proposals with a lower id."
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class AcceptSerializer(RestoreSerializer):
    """Which version the caller took for the latest, and what to say of the new one."""


class DeclineSerializer(StrictSerializer):
    """Why not."""

    word = serializers.CharField(max_length=1_000)
