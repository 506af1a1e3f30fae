"""The id of the request that a process was started for, as its environment claims it: whoever sets that claims any."""

from __future__ import annotations

import re
from typing import Final

VARIABLES: Final = (b"KUBERNETES_EXEC_AUDIT_ID=", b"REQUEST_UID=")
"""In which a runtime names the request (Kubernetes KEP-6035, and others), the surest first."""
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def claimed_id(environ: bytes) -> bytes:
    """Return the id that an environment names; b"" without one. Nothing else of the environment is kept.

    Of a variable that is there several times the last counts, as for most programs.
    """
    found = dict(each.partition(b"=")[::2] for each in environ.split(b"\0") if each.startswith(VARIABLES))
    values = (found.get(name.removesuffix(b"="), b"") for name in VARIABLES)
    return next((value for value in values if _ID.fullmatch(value)), b"")
