"""The names in each image, told to the kernel; read in a thread of its own, for an image may hold 100,000 files."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Final

from sensor.blocking.image_name_filter import image_file_names, image_id, name_filter
from sensor.capture.base import CaptureUnavailable

if TYPE_CHECKING:
    from sensor.capture.block_tables import BlockTables
    from sensor.container.overlay import Layers

MAX_IMAGES: Final = 1_000
"""Some fewer than the kernel's table holds; new files of a further image are left to be held."""

log = logging.getLogger(__name__)


class ImageNames:
    """Which images the kernel knows the names of. One thread asks, one reads.

    The end waits for neither: a disk that does not answer must not keep the sensor from stopping.
    """

    def __init__(self, tables: BlockTables) -> None:
        self._tables = tables
        self._known: set[int] = set()
        self._unread: set[int] = set()
        self._asked: queue.SimpleQueue[tuple[int, Layers] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        threading.Thread(target=self._run, name="image-names", daemon=True).start()

    def tell(self, layers: Layers) -> int:
        """See to it that the kernel learns an image's names; returns the image's number."""
        number = image_id(layers)
        with self._lock:
            if number not in self._known and len(self._known) < MAX_IMAGES:
                self._known.add(number)
                self._unread.add(number)
                self._asked.put((number, layers))
        return number

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None and not self._is_closed:
            number, layers = asked
            try:
                self._read(number, name_filter(image_file_names(layers)))
            except (OSError, CaptureUnavailable) as error:
                log.warning("The names in an image can't be had: new files in its containers are only held: %s", error)
                with self._lock:
                    self._unread.discard(number)

    def _read(self, number: int, bits: bytes) -> None:
        with self._lock:
            self._unread.discard(number)
            # Once it is closed, the tables' descriptors may be something else's.
            if not self._is_closed:
                self._tables.name(number, bits)

    def keep_only(self, numbers: set[int]) -> None:
        """Forget the images that no container has any more."""
        with self._lock:
            for number in self._known - numbers - self._unread:
                self._known.discard(number)
                self._tables.forget(number)

    def close(self) -> None:
        """Tell the kernel nothing any more; safe to call twice."""
        with self._lock:
            self._is_closed = True
        self._asked.put(None)
