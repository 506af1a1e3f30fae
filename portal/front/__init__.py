"""What stands between the network and Django: bounded bodies, deadlines, and a thread only for whole requests.

`uvicorn portal.front:application --http portal.connections:BoundedProtocol` (docs/operators.md#as-separate-processes).
"""

from __future__ import annotations

from portal.front.app import Front
from portal.wsgi import application as django

application = Front(django)

__all__ = ["application"]
