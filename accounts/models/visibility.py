"""How each model declares which viewers see which of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.apps import apps
from django.core import checks
from django.db.models import Exists, Model, OuterRef, Q

from accounts.scope import EstateScope


class ScopedViewer(Protocol):
    """What a declaration needs to know of a user."""

    pk: Any

    @property
    def scope(self) -> EstateScope: ...


class Visibility(Protocol):
    """Which rows a user without the whole estate sees. Everybody who sees the whole estate sees every row."""

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        """Return the condition on the rows of `model`; None: not any."""
        ...


@dataclass(frozen=True)
class ScopedBy:
    """Rows of a cluster: the paths of the cluster and of the namespace, None where a row belongs to no namespace.

    Rows without a namespace are of the whole cluster: who sees only a namespace of it does not see them.
    """

    cluster: str
    namespace: str | None

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return viewer.scope.condition(self.cluster, self.namespace)


@dataclass(frozen=True)
class ScopedByEnvironment:
    """Rows of a whole environment: the path of the environment."""

    environment: str

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return viewer.scope.environment_condition(self.environment)


@dataclass(frozen=True)
class ScopedPlace:
    """Environments or clusters, by the path of either's id: who sees something in a place sees its name."""

    environment: str | None = None
    cluster: str | None = None

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return viewer.scope.place_condition(environment=self.environment, cluster=self.cluster)


@dataclass(frozen=True)
class ScopedThrough:
    """Rows that belong to several places: seen by who sees one of the rows that refer to them.

    `relations` are the names of the reverse relations to those rows, whose models declare ScopedBy.
    """

    relations: tuple[str, ...]

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        any_of = Q()
        for name in self.relations:
            relation: Any = model._meta.get_field(name)
            related = relation.related_model
            condition = visibility_of(related).condition(related, viewer)
            if condition is None:
                return None
            any_of |= Q(Exists(related._base_manager.filter(condition, **{relation.field.name: OuterRef("pk")})))
        return any_of


@dataclass(frozen=True)
class Own:
    """Rows of one user: the path of that user. Others' are for who sees the whole estate."""

    user: str

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return Q(**{self.user: viewer.pk})


@dataclass(frozen=True)
class Everybody:
    """Rows that say nothing about the estate, or what every user must know. `reason` says why."""

    reason: str

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return Q()


@dataclass(frozen=True)
class WholeEstateOnly:
    """Rows for those who see the whole estate. `reason` says why."""

    reason: str

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return None


KINDS: Final = (ScopedBy, ScopedByEnvironment, ScopedPlace, ScopedThrough, Own, Everybody, WholeEstateOnly)


def visibility_of(model: type[Model]) -> Visibility:
    """Return the declaration of a model."""
    declared: Visibility = model.visibility  # type: ignore[attr-defined]
    return declared


def check_visibility(**_: Any) -> list[checks.CheckMessage]:
    """Refuse to start with a model that does not declare its visibility: it would be forgotten in every list."""
    return [
        checks.Error(
            f"{model._meta.label} does not declare `visibility`.",
            hint=f"Declare one of {', '.join(kind.__name__ for kind in KINDS)} (accounts/models/visibility.py).",
            obj=model,
            id="accounts.E001",
        )
        for model in apps.get_models()
        if model.__module__.startswith(("accounts.", "drift."))
        and not hasattr(vars(model).get("visibility"), "condition")
    ]
