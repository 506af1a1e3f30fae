"""Events and alerts: ingest, triage, their pages and API."""
