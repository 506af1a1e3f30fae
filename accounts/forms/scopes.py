"""Forms with which an Owner gives and takes scopes."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from accounts.forms.styled import StyledForm
from accounts.models import ScopeEntry, ScopeGroup, User
from accounts.plain_text import one_line

ANYWHERE: Final = "anywhere"
CHOSEN: Final = (("", "Whole estate"), ("yes", "Only the parts below and those of the groups"))


class UserScopeForm(StyledForm):
    """Whether a user is limited to their scope, and their groups."""

    is_scoped = forms.ChoiceField(label="Sees", choices=CHOSEN, required=False, widget=forms.RadioSelect)
    groups = forms.ModelMultipleChoiceField(
        ScopeGroup.objects.all(), required=False, widget=forms.CheckboxSelectMultiple
    )


class NewGroupForm(StyledForm):
    """A new group."""

    name = forms.CharField(max_length=128, validators=[one_line])


class PeopleField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # not generic at run time
    """Users to choose from, each by name and address: two may have the same name."""

    def label_from_instance(self, obj: User) -> str:
        return f"{obj.name} ({'service account' if obj.is_service else obj.email})"


class GroupForm(NewGroupForm):
    """A group: its name, its members, and whether they see the whole estate."""

    whole_estate = forms.BooleanField(
        required=False, label="Members see the whole estate", help_text="Security Operators at most, as with any scope."
    )
    members = PeopleField(User.objects.order_by("email"), required=False, widget=forms.CheckboxSelectMultiple)


class PartForm(StyledForm):
    """A part of the estate to give: an environment or a cluster, and optionally a namespace of it; or one anywhere."""

    place = forms.ChoiceField(label="Where")
    namespace = forms.CharField(
        max_length=256,
        required=False,
        validators=[one_line],
        help_text="Empty: everything there. Otherwise exactly this namespace.",
    )

    def __init__(self, giver: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["place"].choices = _places(giver)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("place") == ANYWHERE and not data.get("namespace"):
            self.add_error("namespace", "Enter a namespace, or choose a subscription or cluster.")
        return data

    def entry(self) -> ScopeEntry:
        """Return the part that a valid form holds, without a holder."""
        kind, _, number = self.cleaned_data["place"].partition(" ")
        pk = int(number) if number else None
        return ScopeEntry(
            namespace=self.cleaned_data["namespace"],
            environment_id=pk if kind == "environment" else None,
            cluster_id=pk if kind == "cluster" else None,
        )


def _places(giver: User) -> list[tuple[str, Any]]:
    """Return the choices: anywhere, and the environments and clusters that the giver sees."""
    environments = _visible("environment", giver)
    clusters = _visible("cluster", giver)
    in_order = clusters.order_by("environment__name", "name").values_list("pk", "environment__name", "name")
    return [
        (ANYWHERE, "A namespace anywhere"),
        (
            "Subscriptions",
            [(f"environment {pk}", name) for pk, name in environments.order_by("name").values_list("pk", "name")],
        ),
        ("Clusters", [(f"cluster {pk}", f"{environment} / {name}") for pk, environment, name in in_order]),
    ]


def _visible(field: str, giver: User) -> Any:
    """Return the rows that a field of ScopeEntry may refer to: accounts knows the fleet's tables by that alone."""
    places: Any = ScopeEntry._meta.get_field(field).related_model
    return places.objects.visible_to(giver)
