"""File names in images, as they are published to the kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sensor.blocking import image_names
from sensor.blocking.image_name_filter import name_filter
from sensor.blocking.image_names import ImageNames
from sensor.container.overlay import Layers

PATIENCE = 30.0


class Tables:
    """Records what is published; `wait` blocks until so many images were."""

    def __init__(self) -> None:
        self.names: dict[int, bytes] = {}
        self._news = threading.Condition()

    def set_image_names(self, number: int, bits: bytes) -> None:
        with self._news:
            self.names[number] = bits
            self._news.notify()

    def remove_image_names(self, number: int) -> None:
        del self.names[number]

    def wait(self, holds: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(holds, PATIENCE)


class Disk:
    """Makes a reader wait for `go`."""

    def __init__(self) -> None:
        self.go, self.asked, self.answered = threading.Event(), threading.Event(), threading.Event()

    def image_file_names(self, layers: Layers) -> Iterator[bytes]:
        yield from layers.lowers
        self.asked.set()
        self.go.wait()
        self.answered.set()


def image(name: bytes) -> Layers:
    return Layers((name,), b"/upper")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr(image_names, "image_file_names", disk.image_file_names)
    yield disk
    disk.go.set()


def test_an_image_is_published_once_and_removed_with_its_last_container(disk: Disk) -> None:
    disk.go.set()
    tables = Tables()
    told = ImageNames(tables)  # type: ignore[arg-type]
    first, second = told.publish(image(b"a")), told.publish(image(b"b"))
    assert told.publish(image(b"a")) == first
    tables.wait(lambda: len(tables.names) == 2)
    assert tables.names == {first: name_filter([b"a"]), second: name_filter([b"b"])}
    told.keep_only({first})
    assert tables.names.keys() == {first}
    told.close()


def test_a_hanging_disk_does_not_delay_closing_and_nothing_is_published_afterwards(disk: Disk) -> None:
    tables, before = Tables(), set(threading.enumerate())
    told = ImageNames(tables)  # type: ignore[arg-type]
    (reader,) = set(threading.enumerate()) - before
    told.publish(image(b"a"))
    assert disk.asked.wait(PATIENCE)
    told.keep_only(set())
    told.close()
    assert reader.daemon
    disk.go.set()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert tables.names == {}
