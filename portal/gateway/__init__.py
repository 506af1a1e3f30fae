"""The push gateway: server-sent events to sensors, fed by one Redis channel.

A process of its own (`uvicorn portal.gateway:application`) without Django and without a database, so that 10,000 idle
sensors cost one small process. Any number of them can run: each receives every push.
"""

from __future__ import annotations

from portal.gateway.app import Gateway

application = Gateway.from_environment()

__all__ = ["application"]
