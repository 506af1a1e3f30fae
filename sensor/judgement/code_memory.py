"""Tell the memory of just-in-time compilers from programs, where a process maps a file without a name as code.

.NET (`memfd:doublemapper`), libffi and others keep generated code in a memfd or an unlinked file, so that it can be
mapped writable and executable at two addresses. Names prove nothing: an attacker chooses them. A library or a program
that is loaded from there begins with an ELF header; generated code does not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sensor.container.base import payer_id
from sensor.files.deadline import in_time
from sensor.files.handles import file_status
from sensor.judgement.arguments import Unresolvable
from sensor.record import Flag

if TYPE_CHECKING:
    from sensor.files.handles import OpenFile
    from sensor.record import Record

ELF: Final = b"\x7fELF"
COMPILER_BYTES: Final = 1 << 30
"""A compiler reserves gigabytes (.NET two), of which it uses a part; no library is as large."""


def is_code_memory(record: Record, mapped: OpenFile | None) -> bool:
    """Return whether a mapped file has no name and holds no program.

    Where the process is gone, only a memfd of a compiler's size may be one, and raises Unresolvable. Raises OSError.
    """
    if mapped is None:
        if record.flags & Flag.MEMFD and record.size >= COMPILER_BYTES:
            raise Unresolvable
        return False
    is_nameless = record.flags & Flag.MEMFD or file_status(mapped.fd).nlink == 0
    return bool(is_nameless) and in_time(lambda: _header(mapped.fd), payer=payer_id(record.cgroup)) != ELF


def _header(handle: int) -> bytes:
    # Opened again through /proc: an O_PATH handle can't be read.
    fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, len(ELF), 0)
    finally:
        os.close(fd)
