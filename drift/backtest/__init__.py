"""Backtests: a policy document applied to stored events."""
