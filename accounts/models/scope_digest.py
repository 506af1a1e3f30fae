"""Which scope something was counted in, and rows that a user sees in the same scope only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.db.models import Model, Q

from accounts.models.scopes import ScopeEntry, ScopeGroup
from accounts.models.visibility import ScopedViewer

if TYPE_CHECKING:
    from accounts.models.users import User


def scope_digest(viewer: User) -> str:
    """Return a digest of the entries that make the viewer's scope now; "" for the whole estate.

    Another one means that entries were given or taken since. A cluster that enrols in an environment changes nothing.
    """
    if viewer.sees_whole_estate:
        return ""
    groups = ScopeGroup.objects.filter(members=viewer.pk)
    is_scoped = viewer.is_scoped and not groups.filter(whole_estate=True).exists()
    own = _entries(Q(user=viewer.pk) | Q(group__in=groups)) if is_scoped else None
    narrowing = _entries(Q(token=viewer.narrowed_by)) if viewer.narrowed_by is not None else None
    return hashlib.sha256(json.dumps([own, narrowing]).encode()).hexdigest()


def _entries(holder: Q) -> list[list[object]]:
    rows = ScopeEntry.objects.filter(holder).order_by().values_list("environment", "cluster", "namespace").distinct()
    return sorted(([*row] for row in rows), key=repr)


@dataclass(frozen=True)
class OwnOfScope:
    """Rows that a user made of what they saw: the paths of the user, and of the digest of their scope then.

    With another scope since then they may say more than the user may know.
    """

    user: str
    digest: str

    def condition(self, model: type[Model], viewer: ScopedViewer) -> Q | None:
        return Q(**{self.user: viewer.pk, self.digest: scope_digest(cast("User", viewer))})
