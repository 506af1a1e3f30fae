"""Which namespace a number means that was read a moment ago."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from sensor.capture.fanotify.namespaces import Namespace, NamespaceAt, Namespaces
from sensor.container.mounts import Mount

if TYPE_CHECKING:
    from sensor.capture.fanotify.group import Fanotify


def test_the_number_of_an_ended_namespace_is_another_s_later() -> None:
    group = cast("Fanotify", SimpleNamespace(mark=lambda *_, **__: None))
    spaces = Namespaces(group, 0, lambda _fd, _events: None)
    root = Mount(7, 1, b"/", b"/", b"overlay", b"")
    before, after = (Namespace(number, 5, 0, root=root) for number in (1, 2))
    noted = NamespaceAt(5, time.monotonic())
    spaces._by_inum[5] = before
    assert spaces.at(noted) is before
    spaces._retire(before)
    assert spaces.at(noted) is before
    assert spaces.at(NamespaceAt(5, time.monotonic())) is None
    spaces._by_inum[5] = after
    assert spaces.at(noted) is before
    assert spaces.at(NamespaceAt(5, time.monotonic())) is after
    after.root = None
    assert spaces.at(NamespaceAt(5, time.monotonic())) is None
    spaces.close()
