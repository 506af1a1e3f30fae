"""The program that the canary runs: it sleeps for half a second and exits with 0.

Assembled byte by byte: a node need not have a compiler, and the canary's container has no libc.
"""

from __future__ import annotations

import struct
from typing import Final

NAP_NS: Final = 500_000_000
"""Long enough for the sensor to open the running file: one that has ended is reported without a hash."""
_BASE: Final = 0x40_0000
_EHDR_BYTES: Final = 64
_PHDR_BYTES: Final = 56
_CODE_BYTES: Final = 32
"""Both programs are padded to this length: the timespec that they pass to nanosleep follows at that offset."""
_X86_64: Final = bytes.fromhex(
    "488d3d19000000"  # lea rdi, [rip+25]
    "31f6"  # xor esi, esi
    "b823000000 0f05"  # mov eax, 35 (nanosleep); syscall
    "31ff"  # xor edi, edi
    "b83c000000 0f05"  # mov eax, 60 (exit); syscall
)
_AARCH64: Final = struct.pack(
    "<7I",
    0x1000_0100,  # adr x0, #32
    0xD280_0001,  # mov x1, #0
    0xD280_0CA8,  # mov x8, #101 (nanosleep)
    0xD400_0001,  # svc #0
    0xD280_0000,  # mov x0, #0
    0xD280_0BA8,  # mov x8, #93 (exit)
    0xD400_0001,  # svc #0
)
_MACHINES: Final = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}


def executable(machine: str) -> bytes:
    """Return a static ELF file (elf(5)) for a machine as `os.uname` names it. Raises ValueError for other machines."""
    if machine not in _MACHINES:
        raise ValueError(f"no canary exists for {machine}")
    number, code = _MACHINES[machine]
    text = code.ljust(_CODE_BYTES, b"\0") + struct.pack("<qq", 0, NAP_NS)
    return _headers(number, len(text)) + text


def _headers(machine: int, text_bytes: int) -> bytes:
    start = _EHDR_BYTES + _PHDR_BYTES
    size = start + text_bytes
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        ident,
        2,
        machine,
        1,
        _BASE + start,
        _EHDR_BYTES,
        0,
        0,
        _EHDR_BYTES,
        _PHDR_BYTES,
        1,
        0,
        0,
        0,
    )
    readable_and_executable = 5
    return header + struct.pack("<IIQQQQQQ", 1, readable_and_executable, 0, _BASE, _BASE, size, size, 0x1000)
