"""The domain of Driftwatch: policy, fleet and alerts, a Django app each."""
