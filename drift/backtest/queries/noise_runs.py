"""Noise budgets that a user may see, and the places that they may choose."""

from __future__ import annotations

from typing import NamedTuple

from django.shortcuts import get_object_or_404

from accounts.models import User, VisibleQuerySet
from drift.alerts.models import Workload
from drift.backtest.models import NoiseRun
from drift.fleet.models import Cluster, Environment

MAX_PLACES = 500
"""Clusters, and namespaces, that the form offers; the API takes any."""


class Places(NamedTuple):
    """What a budget may be for."""

    environments: list[Environment]
    clusters: list[Cluster]
    namespaces: list[tuple[int, str]]
    """With their cluster's id."""


def visible_noise_run(user: User, run_id: int) -> NoiseRun:
    """Return one run with its result. Raises Http404."""
    run: NoiseRun = get_object_or_404(_rows(user), pk=run_id)
    return run


def newest_noise_runs(user: User, limit: int) -> VisibleQuerySet:
    """Return the newest runs, without documents and results."""
    return _rows(user).defer("document", "result").order_by("-created_at", "-pk")[:limit]


def places(user: User) -> Places:
    """Return the environments, clusters and namespaces of the estate."""
    environments = Environment.objects.visible_to(user).filter(retired_at=None).order_by("name", "pk")[:MAX_PLACES]
    clusters = Cluster.objects.visible_to(user).order_by("name", "pk")[:MAX_PLACES]
    pairs = Workload.objects.visible_to(user).exclude(namespace="").order_by("cluster_id", "namespace")
    found = pairs.values_list("cluster_id", "namespace").distinct()[:MAX_PLACES]
    return Places(list(environments), list(clusters), list(found))


def _rows(user: User) -> VisibleQuerySet:
    rows: VisibleQuerySet = NoiseRun.objects.visible_to(user)
    return rows.select_related("started_by", "environment", "cluster", "base")
