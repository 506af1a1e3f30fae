"""The backtest app."""

from __future__ import annotations

from django.apps import AppConfig


class BacktestConfig(AppConfig):
    name = "drift.backtest"
    label = "backtest"

    def ready(self) -> None:
        # Models may be imported only now.
        from drift.backtest.queries.runs import is_recently_backtested
        from drift.policy.signals import backtest_wanted

        backtest_wanted.connect(is_recently_backtested, dispatch_uid="backtest.is_recently_backtested")
