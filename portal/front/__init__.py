"""What stands between the network and Django: bounded bodies, deadlines, and a thread only for whole requests.

`uvicorn portal.front:application --http portal.connections:BoundedProtocol` (docs/operators.md#as-separate-processes).
"""

from __future__ import annotations

from portal.front.app import Front
from portal.front.garbage import spare_loaded_code
from portal.wsgi import application as django

application = Front(django)
spare_loaded_code()

__all__ = ["application"]
