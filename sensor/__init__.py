"""The node sensor: sees every exec in every container and decides by the portal's policy.

Nothing here imports Django or any other part of the portal (held by import-linter).
"""

__version__ = "0.1.0"
