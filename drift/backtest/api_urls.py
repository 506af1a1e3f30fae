"""The API of backtests and noise budgets, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.backtest.api import noise
from drift.backtest.api import runs as api

app_name = "backtest-api"
urlpatterns = [
    path("backtests/", api.RunList.as_view(), name="runs"),
    path("backtests/<int:run_id>/", api.RunDetail.as_view(), name="run"),
    path("backtests/<int:run_id>/cancel/", api.RunCancel.as_view(), name="cancel"),
    path("noise-budgets/", noise.NoiseRunList.as_view(), name="noise-runs"),
    path("noise-budgets/<int:run_id>/", noise.NoiseRunDetail.as_view(), name="noise-run"),
    path("noise-budgets/<int:run_id>/cancel/", noise.NoiseRunCancel.as_view(), name="noise-cancel"),
    path("noise-budgets/<int:run_id>/copy/", noise.NoiseRunCopy.as_view(), name="noise-copy"),
]
