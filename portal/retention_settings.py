"""How long what the portal stores is kept."""

from __future__ import annotations

from portal import config

EVENT_RETENTION_DAYS = config.integer("EVENT_RETENTION_DAYS", 30, "Retention of drift events, in days.", minimum=1)
ALERT_RETENTION_DAYS = config.integer("ALERT_RETENTION_DAYS", 90, "Retention of closed alerts, in days.", minimum=1)
AUDIT_RETENTION_DAYS = config.days_or_zero(
    "AUDIT_RETENTION_DAYS", 0, "Retention of audit entries, in days: at least 91. 0: they are kept.", minimum=91
)
AUDIT_ADDRESS_RETENTION_DAYS = config.days_or_zero(
    "AUDIT_ADDRESS_RETENTION_DAYS",
    365,
    "Retention of addresses, user agents, sessions and tokens in audit entries, in days: at least 8. 0: as the entry.",
    minimum=8,
)
ARGV_RETENTION_DAYS = config.integer(
    "ARGV_RETENTION_DAYS", 0, "Retention of command lines in alerts and events, in days. 0: as the alert or event."
)
KUBERNETES_AUDIT_RETENTION_DAYS = config.integer(
    "KUBERNETES_AUDIT_RETENTION_DAYS",
    90,
    "Retention of Kubernetes audit lines, which name users and their addresses, in days.",
    minimum=1,
)
