"""What changes events and alerts."""
