"""What `doctor` checks about blocking on this node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.blocking.mount_watch import MountWatch
from sensor.capture.base import DoctorCheck
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.group import Fanotify

if TYPE_CHECKING:
    from collections.abc import Iterator


def blocking_checks() -> Iterator[DoctorCheck]:
    """Check the host's mount table, which containers are found by, and whether execs can be held."""
    try:
        MountWatch().close()
        yield DoctorCheck("blocking sees containers before they start", ok=True)
    except OSError as error:
        yield DoctorCheck(
            "blocking sees containers before they start",
            ok=False,
            advice=f"the mounts of pid 1 are unreadable ({error.strerror}): run as root, in the host's pid namespace",
        )
    # Never a failure: most blocking works without.
    yield DoctorCheck("blocking holds execs", ok=True, advice=_why_not_held())


def _why_not_held() -> str:
    """Return why execs cannot be held here; "" where they can."""
    try:
        Fanotify(permission=True, report_tid=True).close()
    except CaptureUnavailable as error:
        return f"not available here: replaced image files and rules on hashes only alert: {error}"
    return ""
