"""Which suppression rules a user with a scope sees, and which they may write.

They see the rules that may dismiss alerts in their scope, and write those that cannot dismiss any other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.scope import Part
from drift.alerts.domain.alert_wording import MAX_COUNT
from drift.alerts.domain.suppression_match import Conditions, compile_suppression, names_content
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries.places import visible_clusters, visible_environments
from drift.fleet.models import Cluster
from sensor.policy.properties import TABLE

CLUSTER: Final = "cluster_name"
NAMESPACE: Final = "namespace"
UNKNOWN: Final = {each.name: None for each in TABLE}


@dataclass(frozen=True)
class VisibleRule:
    """A suppression rule as a user sees it.

    `environments`: the names that they see. `has_others`: it covers further ones. `is_own`: it covers only what they
    see, so that they may change it and see how often it applied. `dismissed`: the alerts that they see and that are
    dismissed by it now, counted to one more than MAX_COUNT; `contents`: how many files it may dismiss by content, None
    where it is not their own.
    """

    rule: SuppressionRule
    environments: list[str]
    has_others: bool
    is_own: bool
    dismissed: int = 0
    contents: int | None = None

    @property
    def names_content(self) -> bool:
        return names_content(self.rule.conditions)

    @property
    def is_expired(self) -> bool:
        return self.rule.expires_at is not None and self.rule.expires_at <= timezone.now()


def visible_rules(user: User) -> list[VisibleRule]:
    """Return the rules that may dismiss alerts that the user sees, by name."""
    rules = SuppressionRule.objects.prefetch_related("environments").select_related("created_by").order_by("name")
    if user.sees_whole_estate:
        return [VisibleRule(rule, _names(rule), has_others=False, is_own=True) for rule in rules]
    clusters = list(visible_clusters(user).values_list("pk", "name", "environment"))
    seen = set(visible_environments(user).values_list("pk", flat=True))
    return [
        VisibleRule(
            rule,
            [each.name for each in rule.environments.all() if each.pk in seen],
            has_others=any(each.pk not in seen for each in rule.environments.all()),
            is_own=is_in_scope(user, _environments(rule), rule.conditions),
        )
        for rule in rules
        if _may_apply(user, rule, clusters)
    ]


def counted_rules(user: User) -> list[VisibleRule]:
    """Return the rules as `visible_rules`, with their counts."""
    rules = visible_rules(user)
    alerts = Alert.objects.visible_to(user).filter(suppressed_by=OuterRef("pk")).values("pk")[: MAX_COUNT + 1]
    found = SuppressionRule.objects.filter(pk__in=[each.rule.pk for each in rules])
    counts = {
        pk: (len(dismissed), contents)
        for pk, dismissed, contents in found.values_list("pk", ArraySubquery(alerts), Count("contents"))
    }
    return [
        replace(each, dismissed=dismissed, contents=contents if each.is_own else None)
        for each in rules
        for dismissed, contents in [counts.get(each.rule.pk, (0, 0))]  # none of one that was deleted in between
    ]


def visible_rule(user: User, pk: int) -> VisibleRule | None:
    """Return a rule that the user sees."""
    return next((each for each in visible_rules(user) if each.rule.pk == pk), None)


def last_change(rule: SuppressionRule) -> tuple[str, dt.datetime]:
    """Return who created or changed a rule last, and when: of a rule that the user sees."""
    entries = AuditEntry.objects.filter(object_type="suppression rule", object_id=str(rule.pk))
    last = entries.select_related("actor").order_by("-pk").first()
    if last is None:
        return "Someone else", rule.created_at
    return last.actor.name if last.actor else last.actor_name, last.at


def _names(rule: SuppressionRule) -> list[str]:
    return [each.name for each in rule.environments.all()]


def _environments(rule: SuppressionRule) -> list[int]:
    return [each.pk for each in rule.environments.all()]


def _may_apply(user: User, rule: SuppressionRule, clusters: Iterable[tuple[int, str, int]]) -> bool:
    """Return whether the rule may match an alert in one of the clusters, by its place alone."""
    environments = _environments(rule)
    return any(
        _matches_place(rule.conditions, name, user.scope.namespaces_in(cluster))
        for cluster, name, environment in clusters
        if not environments or environment in environments
    )


def _matches_place(conditions: Conditions, cluster: str, namespaces: Collection[str] | None) -> bool:
    compared = {CLUSTER} if namespaces is None else {CLUSTER, NAMESPACE}
    places = [each for each in conditions if each["property"] in compared]
    if not places:
        return namespaces is None or bool(namespaces)
    rule = compile_suppression(0, "", frozenset(), places)
    facts = [{**UNKNOWN, "provider": "aws", CLUSTER: cluster, NAMESPACE: each} for each in namespaces or [""]]
    return any(rule.matches(0, each, None) for each in facts)


def is_in_scope(user: User, environments: Collection[int], conditions: Conditions) -> bool:
    """Return whether a rule can dismiss no alert that the user does not see, of clusters that enrol later neither."""
    if user.sees_whole_estate:
        return True
    names = _only_values(conditions, CLUSTER)
    clusters = list(Cluster.objects.filter(environment__in=environments).values_list("environment", "name", "pk"))
    by_environment = {
        environment: {name.casefold(): pk for each, name, pk in clusters if each == environment}
        for environment in environments
    }
    namespaces = _only_values(conditions, NAMESPACE)
    folded = None if names is None else {name.casefold() for name in names}
    return all(_is_in_part(part, by_environment, folded, namespaces) for part in user.scope.parts)


def _only_values(conditions: Conditions, name: str) -> set[str] | None:
    """Return the values that the conditions allow of a property; None where they are not a list."""
    values = [value for each in conditions if each["property"] == name for value in each["any_of"]]
    if not values or any(value["operator"] != "equals" for value in values):
        return None
    return {value["value"] for value in values}


def _is_in_part(
    part: Part, by_environment: dict[int, dict[str, int]], names: set[str] | None, namespaces: set[str] | None
) -> bool:
    if namespaces and namespaces <= part.namespaces:
        return True
    return bool(by_environment) and all(
        _holds_environment(part, environment, namespaces) or _holds_clusters(part, clusters, names, namespaces)
        for environment, clusters in by_environment.items()
    )


def _holds_environment(part: Part, environment: int, namespaces: set[str] | None) -> bool:
    if environment in part.environments:
        return True
    of_it = dict(part.namespaces_of_environments).get(environment, frozenset())
    return bool(namespaces) and namespaces is not None and namespaces <= part.namespaces | of_it


def _holds_clusters(part: Part, clusters: dict[str, int], names: set[str] | None, namespaces: set[str] | None) -> bool:
    # A name that no cluster has yet may become that of one out of scope.
    if not names or not names <= clusters.keys():
        return False
    return all(_holds_cluster(part, clusters[name], namespaces) for name in names)


def _holds_cluster(part: Part, cluster: int, namespaces: set[str] | None) -> bool:
    seen = part.namespaces_in(cluster)
    return seen is None or (bool(namespaces) and namespaces is not None and namespaces <= seen)
