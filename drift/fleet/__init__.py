"""The fleet: environments, clusters, sensors, and every version delivered to them."""
