"""The API of events and alerts."""
