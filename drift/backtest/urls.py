"""The pages of backtests."""

from __future__ import annotations

from django.urls import path

from drift.backtest.views import effects
from drift.backtest.views import runs as views

app_name = "backtest"
urlpatterns = [
    path("settings/policy/backtests/", views.start, name="start"),
    path("settings/policy/effect/", effects.effect, name="effect"),
    path("settings/policy/backtests/of-draft/", views.of_draft, name="of-draft"),
    path("settings/policy/backtests/<int:run_id>/", views.run, name="run"),
    path("settings/policy/backtests/<int:run_id>/cancel/", views.cancel, name="cancel"),
]
