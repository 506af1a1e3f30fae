"""Input that is rejected, each with a sentence for the user, and deliveries that this version cannot send."""

from __future__ import annotations


class AddressRejected(ValueError):
    """The portal does not post to this address; the message has the reason."""


class NameTaken(ValueError):
    """Another webhook, or another route, has this name."""


class RouteRejected(ValueError):
    """The portal has as many routes as it may, or none of this key; the message has the reason."""


class RouteChanged(Exception):
    """Somebody else changed or removed the route since the page was loaded."""


class UnknownChannel(Exception):
    """The delivery goes over a channel of a newer version of the portal, whose worker sends it."""
