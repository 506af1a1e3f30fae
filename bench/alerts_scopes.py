"""Users with a scope for `bench.alerts`, and the pages that each of them reads."""

from __future__ import annotations

from typing import Any, Final

PAGES: Final = {
    "list": "/alerts/",
    "list, all statuses": "/alerts/?status=any",
    "by resource": "/alerts/?sort=resource&status=any",
    "by group": "/alerts/?sort=group&status=any",
    "by updated": "/alerts/?sort=-updated",
    "filter kind": "/alerts/?status=any&kind=script",
    "search, one in 7": "/alerts/?status=any&q=team/app-1:1",
    "search, nothing": "/alerts/?status=any&q=nowhere-to-be-found",
    "group by incident": "/alerts/?group=incident&status=any",
    "group by rule": "/alerts/?group=rule&status=any",
    "group by namespace": "/alerts/?group=namespace&status=any",
    "group by binary": "/alerts/?group=binary",
    "charts, 30 days": "/alerts/charts/",
    "charts by rule": "/alerts/charts/?split=rule&days=90",
    "live": "/alerts/live/?since={since}",
    "API, a page": "/api/v1/alerts/",
}


def scoped_pages() -> dict[str, tuple[Any, str]]:
    """Return each page of each scoped user, as the user's browser and the URL."""
    from bench.alerts import since

    return {
        f"{name}: {page}": (browser, url.format(since=since(browser)))
        for name, browser in _browsers().items()
        for page, url in PAGES.items()
    }


def _browsers() -> dict[str, Any]:
    """Return a browser for each kind of scope; `rare` sees a namespace with few alerts, `mix` forty parts."""
    from django.db.models import Count
    from django.test import Client

    from accounts.models import ScopeEntry, User
    from accounts.roles import Role
    from drift.alerts.models import Alert
    from drift.fleet.models import Cluster

    clusters = list(Cluster.objects.order_by("pk"))
    spaces = Alert.objects.values_list("cluster", "namespace").annotate(n=Count("pk")).order_by("n", "namespace")
    (rare_cluster, rare_space, _), *_ = spaces
    parts: dict[str, list[dict[str, Any]]] = {
        "environment": [{"environment": clusters[0].environment}],
        "cluster": [{"cluster": clusters[0]}],
        "namespace": [{"namespace": "space-1"}],
        "rare": [{"cluster_id": rare_cluster, "namespace": rare_space}],
        "mix": [
            {"cluster": clusters[0]},
            *({"cluster": each, "namespace": f"space-{n}"} for each in clusters[1:] for n in range(13)),
        ],
    }
    browsers = {}
    for name, entries in parts.items():
        user = User.objects.create_user(f"{name}@example.com", name, Role.OPERATOR, None)
        User.objects.filter(pk=user.pk).update(is_scoped=True)
        ScopeEntry.objects.bulk_create(ScopeEntry(user=user, **entry) for entry in entries)
        browsers[name] = Client()
        browsers[name].force_login(user)
    return browsers
