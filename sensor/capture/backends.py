"""Open the backends by the names that they have on the command line."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING

from sensor.capture.doctor_checks import PROBE_RING_BYTES
from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.failover import Backend, FailoverCapture
from sensor.capture.fanotify.capture import open_fanotify
from sensor.capture.fanotify.group import Fanotify
from sensor.capture.pins import drop_pins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.capture.base import Capture
    from sensor.container.base import Runtime

_log = logging.getLogger(__name__)


def open_node_capture(
    name: str, pin_dir: Path, *, keep_pins: bool, libraries: bool, runtimes: Sequence[Runtime]
) -> Capture:
    """Capture on this node: "ebpf", "fanotify", or the best that works for "auto". Raises CaptureUnavailable.

    The rest as for `open_ebpf`; fanotify keeps nothing, and sees no libraries.
    """
    ebpf = functools.partial(open_ebpf, pin_dir=pin_dir, keep_pins=keep_pins, runtimes=runtimes, libraries=libraries)
    fallback = functools.partial(_fallback, runtimes)
    if name == "ebpf":
        return ebpf()
    if name == "fanotify":
        if drop_pins(pin_dir):
            _log.warning("Removed what an earlier sensor left attached in %s, with what it saw since", pin_dir)
        return fallback()
    return FailoverCapture([Backend("ebpf", ebpf), Backend("fanotify", fallback)])


def _fallback(runtimes: Sequence[Runtime]) -> Capture:
    capture = open_fanotify(runtimes=runtimes)
    if capture.limits:
        _log.warning("Capture by fanotify: %s", capture.limits)
    return capture


def found_capabilities() -> list[str]:
    """Return what works on this node, by trying it: names of backends, and "library"."""
    return [*_ebpf_capabilities(), *_fanotify_capabilities()]


def _ebpf_capabilities() -> list[str]:
    for libraries in (True, False):
        with contextlib.suppress(CaptureUnavailable):
            open_ebpf(ring_bytes=PROBE_RING_BYTES, libraries=libraries).close()
            return ["ebpf", "library"] if libraries else ["ebpf"]
    return []


def _fanotify_capabilities() -> list[str]:
    with contextlib.suppress(CaptureUnavailable):
        Fanotify().close()
        return ["fanotify"]
    return []
