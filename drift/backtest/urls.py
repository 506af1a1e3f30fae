"""The pages of backtests and noise budgets."""

from __future__ import annotations

from django.urls import path

from drift.backtest.views import effects, noise
from drift.backtest.views import runs as views

app_name = "backtest"
urlpatterns = [
    path("settings/policy/backtests/", views.start, name="start"),
    path("settings/policy/effect/", effects.effect, name="effect"),
    path("settings/policy/backtests/of-draft/", views.of_draft, name="of-draft"),
    path("settings/policy/backtests/<int:run_id>/", views.run, name="run"),
    path("settings/policy/backtests/<int:run_id>/cancel/", views.cancel, name="cancel"),
    path("settings/policy/noise-budgets/", noise.noise_start, name="noise"),
    path("settings/policy/noise-budgets/<int:run_id>/", noise.noise_run, name="noise-run"),
    path("settings/policy/noise-budgets/<int:run_id>/cancel/", noise.noise_cancel, name="noise-cancel"),
    path("settings/policy/noise-budgets/<int:run_id>/copy/", noise.noise_copy, name="noise-copy"),
]
