"""Where messages for the next page wait: in a cookie that only this host can set."""

from __future__ import annotations

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class HostCookieStorage(CookieStorage):
    """Django's, under a name with the prefix of our other cookies."""

    cookie_name = f"{settings.COOKIE_PREFIX}messages"


class MessageStorage(FallbackStorage):
    """A cookie; what does not fit, in the session."""

    storage_classes = (HostCookieStorage, SessionStorage)
