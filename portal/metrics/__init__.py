"""The portal's metrics for Prometheus (docs/metrics.md)."""
