"""What Driftwatch is about: policy, fleet and alerts, a Django app each."""
