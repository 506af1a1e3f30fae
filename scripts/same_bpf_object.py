"""Compare two builds of the kernel object in all that is loaded; exit status 1 where they differ.

Left out are DWARF's sections: compilers put a checksum of each source file there, so a changed comment shows.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path


def loaded_sections(elf: bytes) -> dict[str, bytes]:
    """Return the sections of a 64-bit little-endian ELF file (elf(5)) by name, without those of DWARF."""
    table, size, number, names_index = struct.unpack_from("<Q10xHHH", elf, 40)
    headers = [struct.unpack_from("<II16xQQ", elf, table + size * index) for index in range(number)]
    _, _, names_start, names_length = headers[names_index]
    names = elf[names_start : names_start + names_length]
    found = {}
    for name_start, _, start, length in headers:
        name = names[name_start : names.index(b"\0", name_start)].decode()
        if not name.startswith((".debug_", ".rel.debug_")):
            found[name] = elf[start : start + length]
    return found


if __name__ == "__main__":
    first, second = (loaded_sections(Path(path).read_bytes()) for path in sys.argv[1:])
    sys.exit(0 if first == second else 1)
