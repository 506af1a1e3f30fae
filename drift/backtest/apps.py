"""The backtest app."""

from django.apps import AppConfig


class BacktestConfig(AppConfig):
    name = "drift.backtest"
    label = "backtest"
