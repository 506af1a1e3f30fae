"""Health for API clients."""
