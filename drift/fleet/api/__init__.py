"""The fleet's API: sensor calls, and calls of API clients."""
