"""The API of backtests, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.backtest.api import runs as api

app_name = "backtest-api"
urlpatterns = [
    path("backtests/", api.RunList.as_view(), name="runs"),
    path("backtests/<int:run_id>/", api.RunDetail.as_view(), name="run"),
    path("backtests/<int:run_id>/cancel/", api.RunCancel.as_view(), name="cancel"),
]
