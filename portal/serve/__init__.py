"""Runs all of Driftwatch on one machine: services, portal, gateway, workers and, for the demo, sensors."""
