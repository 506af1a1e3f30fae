"""The ways a notice leaves the portal: each channel is a module here and an entry of CHANNELS."""

from __future__ import annotations

from typing import Final, Protocol

from drift.notify.actions.channels import mail, webhook
from drift.notify.errors import UnknownChannel
from drift.notify.models import AlertRoute, MailSettings, Notice, NoticeDelivery


class Channel(Protocol):
    """The interface of a channel's module."""

    @property
    def RETRIED(self) -> tuple[type[Exception], ...]:  # noqa: N802 - a constant of the module
        """The exceptions of `send` after which a retry may succeed."""

    def new_deliveries(self, notice: Notice, settings: MailSettings, /) -> list[NoticeDelivery]:
        """Return the unsaved deliveries of a notice to everybody who subscribes to its kind."""

    def route_deliveries(self, notice: Notice, route: AlertRoute, /) -> list[NoticeDelivery]:
        """Return the unsaved deliveries of a notice to a route's recipients."""

    def delivers(self, delivery: NoticeDelivery, /) -> bool:
        """Return whether a delivery is this channel's."""

    def send(self, delivery: NoticeDelivery, /) -> None:
        """Send one delivery. Raises AddressRejected if a retry cannot help, one of RETRIED if it may."""


CHANNELS: Final[tuple[Channel, ...]] = (mail, webhook)
RETRIED: Final[tuple[type[Exception], ...]] = (
    UnknownChannel,
    *(error for channel in CHANNELS for error in channel.RETRIED),
)


def new_deliveries(notice: Notice, settings: MailSettings) -> list[NoticeDelivery]:
    """Return the unsaved deliveries of a notice over every channel."""
    return [delivery for channel in CHANNELS for delivery in channel.new_deliveries(notice, settings)]


def route_deliveries(notice: Notice, route: AlertRoute) -> list[NoticeDelivery]:
    """Return the unsaved deliveries of a notice to a route's recipients, over every channel."""
    return [delivery for channel in CHANNELS for delivery in channel.route_deliveries(notice, route)]


def send(delivery: NoticeDelivery) -> None:
    """Send one delivery over its channel. Raises UnknownChannel, and what that channel's `send` raises."""
    channel = next((each for each in CHANNELS if each.delivers(delivery)), None)
    if channel is None:
        raise UnknownChannel
    channel.send(delivery)
