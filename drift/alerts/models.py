"""Models of events and alerts."""
