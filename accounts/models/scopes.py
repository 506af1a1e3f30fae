"""Scopes: which part of the estate a user, a group of users, or a token sees (docs/scopes.md).

The places are foreign keys to the fleet's tables, by name because accounts imports nothing above it: a scope must not
outlive its environment or cluster, and the next one must not inherit it, which plain numbers could not promise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import ClassVar, Final

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models.visibility import WholeEstateOnly
from accounts.scope import WHOLE_ESTATE, EstateScope, Part

HOLDERS: Final = ("user", "group", "token")


class ScopeGroup(models.Model):
    """Users who share scope entries, for example a team. `whole_estate`: its members see everything."""

    name = models.CharField(max_length=128)
    whole_estate = models.BooleanField(default=False)
    members = models.ManyToManyField("accounts.User", blank=True, related_name="scope_groups")
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = WholeEstateOnly("who may see what is for those who see everything")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(Lower("name"), name="one_scope_group_per_name")]

    def __str__(self) -> str:
        return self.name


def _one_holder() -> Q:
    """Return the constraint: exactly one of HOLDERS is set."""
    holds = Q()
    for holder in HOLDERS:
        holds |= Q(**{f"{each}__isnull": each != holder for each in HOLDERS})
    return holds


class ScopeEntry(models.Model):
    """A part of the estate: an environment, a cluster, or a namespace within either or anywhere.

    The entries of a user and of their groups add up; those of a token narrow what its owner sees.
    """

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, null=True, related_name="scope_entries")
    group = models.ForeignKey(ScopeGroup, on_delete=models.CASCADE, null=True, related_name="entries")
    token = models.ForeignKey("accounts.ApiToken", on_delete=models.CASCADE, null=True, related_name="scope_entries")
    environment = models.ForeignKey("fleet.Environment", on_delete=models.CASCADE, null=True, related_name="+")
    cluster = models.ForeignKey("fleet.Cluster", on_delete=models.CASCADE, null=True, related_name="+")
    namespace = models.CharField(max_length=256, blank=True)
    """Empty: all namespaces of the environment or cluster, and what runs in none."""

    visibility: ClassVar = WholeEstateOnly("who may see what is for those who see everything")

    class Meta:
        verbose_name_plural = "scope entries"
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_one_holder(), name="scope_entry_has_one_holder"),
            models.CheckConstraint(condition=Q(environment=None) | Q(cluster=None), name="scope_entry_is_one_place"),
            models.CheckConstraint(
                condition=Q(environment__isnull=False) | Q(cluster__isnull=False) | ~Q(namespace=""),
                name="scope_entry_is_not_the_estate",
            ),
            models.UniqueConstraint(
                fields=[*HOLDERS, "environment", "cluster", "namespace"],
                nulls_distinct=False,
                name="one_scope_entry_each",
            ),
        ]

    def __str__(self) -> str:
        place = self.environment or self.cluster
        if not self.namespace:
            return str(place)
        return f"namespace {self.namespace}" + (f" in {place}" if place else " anywhere")


def effective_scope(user_id: int, *, is_scoped: bool, token_id: int | None) -> EstateScope:
    """Return the scope of a user, narrowed by that token. Two queries at most, however many entries."""
    if is_scoped and ScopeGroup.objects.filter(members=user_id, whole_estate=True).exists():
        is_scoped = False
    if not is_scoped and token_id is None:
        return WHOLE_ESTATE
    of_user = Q(user=user_id) | Q(group__members=user_id) if is_scoped else Q()
    of_token = Q(token=token_id) if token_id is not None else Q()
    rows = list(ScopeEntry.objects.filter(of_user | of_token).order_by().values_list(*COLUMNS))
    own = [row for row in rows if row[0] is None]
    narrowing = [row for row in rows if row[0] is not None]
    parts = [_part(own)] if is_scoped else []
    parts += [_part(narrowing)] if token_id is not None else []
    return EstateScope(tuple(parts))


def scope_of_group(group: ScopeGroup) -> EstateScope:
    """Return what the members of a group see because of it."""
    if group.whole_estate:
        return WHOLE_ESTATE
    return EstateScope((_part(ScopeEntry.objects.filter(group=group).order_by().values_list(*COLUMNS)),))


COLUMNS: Final = (
    "token",
    "namespace",
    "environment",
    "environment__clusters",
    "cluster",
    "cluster__environment",
)


def scopes_of(users: Collection[tuple[int, bool]]) -> dict[int, EstateScope]:
    """Return the scope of each of many users, given as (id, is_scoped), with two queries."""
    scopes = {user: WHOLE_ESTATE for user, is_scoped in users if not is_scoped}
    scoped = [user for user, is_scoped in users if is_scoped]
    if not scoped:
        return scopes
    groups: dict[int, set[int]] = defaultdict(set)
    memberships = ScopeGroup.objects.filter(members__in=scoped).order_by()
    for group, user, whole_estate in memberships.values_list("pk", "members", "whole_estate"):
        groups[user].add(group)
        if whole_estate:
            scopes[user] = WHOLE_ESTATE
    holders = Q(user__in=scoped) | Q(group__members__in=scoped)
    entries = list(ScopeEntry.objects.filter(holders).order_by().distinct().values_list("user", "group", *COLUMNS))
    for user in scoped:
        own = [row[2:] for row in entries if row[0] == user or row[1] in groups[user]]
        scopes.setdefault(user, EstateScope((_part(own),)))
    return scopes


def _part(rows: Iterable[tuple[int | None, str, int | None, int | None, int | None, int | None]]) -> Part:
    """Return the union of entries; an environment's entry has one row for each of its clusters."""
    environments, clusters, namespaces, holding = set[int](), set[int](), set[str](), set[int]()
    namespaces_of, of_environments = defaultdict[int, set[str]](set), defaultdict[int, set[str]](set)
    for _, namespace, environment, cluster_of_it, cluster, environment_of_it in rows:
        place = cluster or cluster_of_it
        holding |= {each for each in (environment, environment_of_it) if each}
        if not namespace:
            environments |= {environment} if environment else set()
            clusters |= {place} if place else set()
            continue
        if place:
            namespaces_of[place].add(namespace)
        if environment:
            of_environments[environment].add(namespace)
        elif not cluster:
            namespaces.add(namespace)
    return Part(
        frozenset(environments),
        frozenset(clusters),
        frozenset(namespaces),
        tuple((each, frozenset(names)) for each, names in sorted(namespaces_of.items()) if each not in clusters),
        tuple((each, frozenset(names)) for each, names in sorted(of_environments.items())),
        frozenset(holding),
    )
