"""Input that is rejected, each with a sentence for the user, and deliveries that this version cannot send."""

from __future__ import annotations


class AddressRejected(ValueError):
    """The portal does not post to this address; the message has the reason."""


class NameTaken(ValueError):
    """Another webhook has this name."""


class UnknownChannel(Exception):
    """The delivery goes over a channel of a newer version of the portal, whose worker sends it."""
