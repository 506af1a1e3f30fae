"""All writes of events and alerts."""
