"""All URLs. `portal.access` has the role that each requires."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from portal import views
from portal.metrics.views import metrics

handler400 = "portal.views.bad_request"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"

# Matched in this order, one by one: what sensors and open pages request most comes first.
urlpatterns = [
    path(
        "api/v1/",
        include(
            [
                path("", include("drift.alerts.api_urls")),
                path("", include("drift.fleet.api_urls")),
                path("", include("drift.health.api_urls")),
                path("", include("accounts.api_urls")),
                path("", include("drift.policy.api_urls")),
                path("", include("drift.backtest.api_urls")),
            ]
        ),
    ),
    path("", include("drift.alerts.urls")),
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("", include("accounts.sign_in_urls")),
    path("", include("accounts.urls")),
    path("", include("drift.notify.urls")),
    path("", include("drift.siem.urls")),
    path("", include("drift.policy.urls")),
    path("", include("drift.fleet.urls")),
    path("", include("drift.health.urls")),
    path("", include("drift.backtest.urls")),
]
