"""The node sensor: captures every exec in every container and decides drift by the portal's signed policy.

Nothing here imports Django or any other part of the portal; import-linter holds that.
"""

__version__ = "0.2.0"
"""The release of sensor and portal, and its only home; `sensor.version` adds the commit."""
