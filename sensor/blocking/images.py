"""The names in each image, told to the kernel; read in a thread of its own, for an image may hold 100,000 files."""

from __future__ import annotations

import concurrent.futures
import logging
from typing import TYPE_CHECKING, Final

from sensor.blocking.names import filter_of, image_id, names_in
from sensor.capture.base import CaptureUnavailable

if TYPE_CHECKING:
    from sensor.blocking.tables import Tables
    from sensor.layers.overlay import Layers

MAX_IMAGES: Final = 1_000
"""Some fewer than the kernel's table holds; new files of a further image are left to be held."""

log = logging.getLogger(__name__)


class Images:
    """Which images the kernel knows the names of. One thread asks, one reads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: dict[int, concurrent.futures.Future[None]] = {}
        self._reader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="image-names")

    def tell(self, layers: Layers) -> int:
        """See to it that the kernel learns an image's names; returns the image's number."""
        number = image_id(layers)
        if number not in self._known and len(self._known) < MAX_IMAGES:
            self._known[number] = self._reader.submit(self._read, number, layers)
        return number

    def _read(self, number: int, layers: Layers) -> None:
        try:
            self._tables.name(number, filter_of(names_in(layers)))
        except (OSError, CaptureUnavailable) as error:
            log.warning("The names in an image can't be had: new files in its containers are only held: %s", error)

    def keep_only(self, numbers: set[int]) -> None:
        """Forget the images that no container has any more."""
        for number in self._known.keys() - numbers:
            if self._known[number].done():
                del self._known[number]
                self._tables.forget(number)

    def close(self) -> None:
        self._reader.shutdown(wait=False, cancel_futures=True)
