"""`manage.py metrics_table [--check]`: generate docs/metrics.md from portal/metrics/table.py."""

from __future__ import annotations

from portal.management.generated import GeneratedPage
from portal.metrics.table import PREFIX, TABLE, MetricDefinition

HEAD = """# Metrics

`GET /metrics` of the web process, in Prometheus's text format, for holders of `METRICS_TOKEN`
(`Authorization: Bearer …`); without that setting there is neither the page nor any counting. One target has the metrics
of all roles: workers, beat and gateways report theirs through Redis ([health](health.md#how-it-is-checked)), so they
open no port. Every series exists from the start, labels have a bounded number of values, and no value names a node, a
workload or a user. This page is generated from `portal/metrics/table.py` by `manage.py metrics_table`.

```yaml
scrape_configs:
  - job_name: driftwatch
    scheme: https
    authorization: {credentials_file: /etc/prometheus/driftwatch-token}
    static_configs: [{targets: ["driftwatch.example"]}]
```

With several web machines scrape each of them (in Kubernetes by `role: endpoints` of the web Service): metrics of *one
web machine* are its own, which queries add up; the others are the same at each, and queries take one, such as
`max without (instance, pod) (driftwatch_queue_tasks)`. Scrape every 15 s or more rarely: a scrape reads counts of the
whole fleet. The sensor's own metrics are in [sensor.md](sensor.md#metrics-and-health). `deploy/monitoring/` has
rules (`rules.yaml`, tested by `promtool test rules rules.test.yaml`) and a Grafana dashboard (`dashboard.json`);
[runbook.md](runbook.md) has an entry for each alert.

| metric | type | labels | of | meaning |
|---|---|---|---|---|
"""


class Command(GeneratedPage):
    help = "Write docs/metrics.md, or with --check fail if it is out of date."
    page = "metrics.md"

    def text(self) -> str:
        return HEAD + "".join(_row(each) for each in TABLE)


def _row(metric: MetricDefinition) -> str:
    labels = "; ".join(f"`{name}`: {values}" for name, values in metric.labels.items())
    place = "one web machine" if metric.each else "the portal"
    return f"| `{PREFIX}{metric.name}` | {metric.kind} | {labels} | {place} | {metric.help} |\n"
