"""The clusters and environments that a user's alerts can be in, for names and choices."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from accounts.models import User
from drift.alerts.models import AlertGroup, Dimension
from drift.fleet.models import Cluster, Environment


def namespace_groups(user: User) -> QuerySet[AlertGroup]:
    """Return the tallies by namespace and cluster in the user's scope: the only ones that know a single namespace."""
    groups = AlertGroup.objects.filter(dimension=Dimension.NAMESPACE)
    condition = user.scope.condition("cluster", "key")
    return groups.none() if condition is None else groups.filter(condition)


def cluster_tallies(user: User) -> QuerySet[Any, Any]:
    """Return the tallies that add up to the user's alerts of each cluster and status, each alert once."""
    if not user.scope.is_of_whole_clusters:
        return namespace_groups(user)
    # Of the dimensions, rules have the fewest keys.
    groups: QuerySet[Any, Any] = AlertGroup.objects.visible_to(user).filter(dimension=Dimension.RULE)
    return groups


def visible_clusters(user: User) -> QuerySet[Cluster]:
    """Return the clusters in the user's scope, and those with alerts of a namespace that they see anywhere."""
    clusters: QuerySet[Cluster] = Cluster.objects.visible_to(user)
    if user.scope.is_of_whole_clusters:
        return clusters
    with_alerts = namespace_groups(user).order_by().values("cluster")
    return Cluster.objects.filter(Q(pk__in=clusters.order_by().values("pk")) | Q(pk__in=with_alerts))


def visible_environments(user: User) -> QuerySet[Environment]:
    """Return the environments in the user's scope, and those of `visible_clusters`."""
    environments: QuerySet[Environment] = Environment.objects.visible_to(user)
    if user.scope.is_of_whole_clusters:
        return environments
    of_clusters = visible_clusters(user).order_by().values("environment")
    return Environment.objects.filter(Q(pk__in=environments.order_by().values("pk")) | Q(pk__in=of_clusters))
