"""Forwarding of alerts to a SIEM, over syslog or into a file (docs/siem.md)."""
