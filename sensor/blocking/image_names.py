"""Publishes the file names of images to the kernel, from a thread of its own: an image may hold 100,000 files."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Final

from sensor.blocking.image_name_filter import image_file_names, image_id, name_filter
from sensor.capture.errors import CaptureUnavailable

if TYPE_CHECKING:
    from sensor.capture.block_tables import BlockTables
    from sensor.container.overlay import Layers

MAX_IMAGES: Final = 1_000
"""A few less than the kernel's table holds; execs of new files in further images are held instead."""

log = logging.getLogger(__name__)


class ImageNames:
    """The images whose names the kernel has. One thread calls this, another one reads the images.

    `close` waits for neither: a disk that does not answer must not keep the sensor from stopping.
    """

    def __init__(self, tables: BlockTables) -> None:
        self._tables = tables
        self._known: set[int] = set()
        self._unread: set[int] = set()
        self._requests: queue.SimpleQueue[tuple[int, Layers] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        threading.Thread(target=self._run, name="image-names", daemon=True).start()

    def publish(self, layers: Layers) -> int:
        """Have an image's names published, once per image; returns the image's number."""
        number = image_id(layers)
        with self._lock:
            if number not in self._known and len(self._known) < MAX_IMAGES:
                self._known.add(number)
                self._unread.add(number)
                self._requests.put((number, layers))
        return number

    def _run(self) -> None:
        while (request := self._requests.get()) is not None and not self._is_closed:
            number, layers = request
            try:
                self._set(number, name_filter(image_file_names(layers)))
            except (OSError, CaptureUnavailable) as error:
                log.warning("An image's file names are unreadable; new files in its containers are held: %s", error)
                with self._lock:
                    self._unread.discard(number)

    def _set(self, number: int, bits: bytes) -> None:
        with self._lock:
            self._unread.discard(number)
            # After `close` the tables' descriptor numbers may belong to other files.
            if not self._is_closed:
                self._tables.set_image_names(number, bits)

    def keep_only(self, numbers: set[int]) -> None:
        """Remove the images that no container has any more."""
        with self._lock:
            for number in self._known - numbers - self._unread:
                self._known.discard(number)
                self._tables.remove_image_names(number)

    def close(self) -> None:
        """Publish nothing more; safe to call twice."""
        with self._lock:
            self._is_closed = True
        self._requests.put(None)
