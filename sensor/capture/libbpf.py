"""The few calls of libbpf 1.x that the eBPF backend needs, through ctypes; loaded on first use."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import os
from pathlib import Path
from typing import Any, Final

from sensor.capture.errors import CaptureUnavailable

_PRINT: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTERS: Final = (
    "bpf_object__open_mem",
    "bpf_object__find_map_by_name",
    "bpf_object__find_program_by_name",
    "bpf_program__attach",
    "bpf_map__initial_value",
)
_FENTRY: Final = 24
"""`enum bpf_attach_type`: names a function of the kernel's own type information."""
_TRACEPOINT: Final = 5
"""`enum bpf_prog_type`: one that may call whatever our programs call."""
_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_CAP_SYS_ADMIN: Final = 21
MAPS: Final = ("ring", "stats", "namespaces", "state", "enforcement", "image_names", "marks", "guard")


def _silent(_level: int, _format: bytes, _arguments: int) -> int:
    return 0


# libbpf would write to standard error; CaptureUnavailable has the reason. Kept
# referenced for as long as the library may call it.
_SILENT: Final = _PRINT(_silent)


class _OpenOptions(ctypes.Structure):
    """The beginning of `struct bpf_object_open_opts` (libbpf.h of 1.0; its fields keep their places)."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("object_name", ctypes.c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", ctypes.c_char_p),
        ("unused", ctypes.c_uint32),
        ("kconfig", ctypes.c_char_p),
        ("btf_custom_path", ctypes.c_char_p),
    )


class Mappings(enum.Enum):
    """Programs that find a program interpreter among the mappings of its exec, on kernels old and new."""

    EACH = "on_mappings"
    LIST = "on_mappings_list"
    START = "on_mapping_of_start"


@dataclasses.dataclass(frozen=True)
class ProgramOptions:
    """How the program is loaded: the ring's size in bytes, and what it watches beside execs.

    `libraries` that programs map; `writers` of files; `mappings`: the programs that find a program interpreter.
    """

    ring_bytes: int
    libraries: bool
    writers: bool = True
    mappings: tuple[Mappings, ...] = (Mappings.EACH,)

    def programs(self) -> dict[str, str]:
        """Return the names of the wanted programs by those of their links, in the order in which they run."""
        finders = {f"{finder.name.lower()}_link": finder.value for finder in self.mappings}
        return {
            **finders,
            "exec_link": "on_exec",
            **({"write_link": "on_write"} if self.writers else {}),
            **({"mmap_link": "on_mmap"} if self.libraries else {}),
        }


ALL: Final = ProgramOptions(0, libraries=True, mappings=tuple(Mappings)).programs()
"""Every program by its link."""


@dataclasses.dataclass(frozen=True)
class KernelObjects:
    """The kernel objects of one attached program, as open file descriptors; the last ones only where wanted."""

    exec_link: int | None
    ring: int
    stats: int
    namespaces: int
    state: int
    enforcement: int
    image_names: int
    marks: int
    guard: int
    write_link: int | None = None
    each_link: int | None = None
    list_link: int | None = None
    start_link: int | None = None
    mmap_link: int | None = None

    def items(self) -> dict[str, int]:
        """Return all that are there, by name."""
        return {name: fd for name, fd in dataclasses.asdict(self).items() if fd is not None}

    def without_links(self) -> KernelObjects:
        """Close the links, which detaches programs that are not pinned; return the other objects."""
        for name, fd in self.items().items():
            if name in ALL:
                os.close(fd)
        links: dict[str, Any] = dict.fromkeys(ALL)
        return dataclasses.replace(self, **links)

    def close(self) -> None:
        """Close all; the program stays attached only where its links are pinned."""
        for fd in self.items().values():
            os.close(fd)


class Libbpf:
    """libbpf.so.1; raises CaptureUnavailable where it can't be loaded."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError:
            raise CaptureUnavailable("eBPF capture needs libbpf.so.1 (Debian and Ubuntu: libbpf1)") from None
        for name in _POINTERS:
            getattr(self._lib, name).restype = ctypes.c_void_p
        self._lib.libbpf_set_print(_SILENT)

    def load(self, code: bytes, *, host_namespace: int, options: ProgramOptions) -> KernelObjects:
        """Load and attach the kernel program; raises CaptureUnavailable with the reason.

        `host_namespace` is the inode number of the host's mount namespace, whose execs are ignored.
        """
        opening = ctypes.byref(_opening(may_read_modules=_has_sys_admin()))
        handle = self._call("bpf_object__open_mem", code, ctypes.c_size_t(len(code)), opening)
        try:
            self._configure(handle, host_namespace, options)
            self._call("bpf_object__load", handle)
            fds = {name: os.dup(self._fd(handle, name)) for name in MAPS}
            for link, program in options.programs().items():
                fds[link] = self._attach(handle, program.encode())
            return KernelObjects(**fds)
        finally:
            self._lib.bpf_object__close(ctypes.c_void_p(handle))

    def knows_helper(self, number: int) -> bool:
        """Return whether this kernel has a helper function (`enum bpf_func_id`); True where that is unknown."""
        return bool(self._lib.libbpf_probe_bpf_helper(_TRACEPOINT, number, None))

    def knows_function(self, name: str) -> bool:
        """Return whether the kernel's type information has a function."""
        return int(self._lib.libbpf_find_vmlinux_btf_id(name.encode(), _FENTRY)) > 0

    def _attach(self, handle: int, program: bytes) -> int:
        link = self._call("bpf_program__attach", self._program(handle, program))
        fd = os.dup(self._lib.bpf_link__fd(ctypes.c_void_p(link)))
        self._lib.bpf_link__destroy(ctypes.c_void_p(link))
        return fd

    def pin(self, fd: int, path: Path) -> None:
        """Keep a kernel object under a path of a bpffs, beyond the life of this process."""
        self._call("bpf_obj_pin", ctypes.c_int(fd), bytes(path))

    def pinned(self, path: Path) -> int:
        """Return a descriptor of the object pinned at `path`; raises FileNotFoundError and other OSErrors."""
        fd = self._lib.bpf_obj_get(bytes(path))
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
        return int(fd)

    def update(self, fd: int, key: bytes, value: bytes) -> None:
        """Set one element of a map."""
        self._call("bpf_map_update_elem", ctypes.c_int(fd), key, value, ctypes.c_uint64(0))

    def lookup(self, fd: int, key: bytes, size: int) -> bytes:
        """Return one element of a map, `size` bytes (all CPUs' values in a per-CPU map)."""
        value = ctypes.create_string_buffer(size)
        self._call("bpf_map_lookup_elem", ctypes.c_int(fd), key, value)
        return value.raw

    def delete(self, fd: int, key: bytes) -> None:
        """Take one element out of a map; it need not be there."""
        self._lib.bpf_map_delete_elem(ctypes.c_int(fd), key)

    def keys(self, fd: int, size: int) -> list[bytes]:
        """Return the keys of a map, `size` bytes each."""
        found: list[bytes] = []
        key = ctypes.create_string_buffer(size)
        before: bytes | None = None
        while self._lib.bpf_map_get_next_key(ctypes.c_int(fd), before, key) == 0:
            before = key.raw
            found.append(before)
        return found

    def possible_cpus(self) -> int:
        """How many CPUs this kernel may ever have."""
        return int(self._lib.libbpf_num_possible_cpus())

    def _configure(self, handle: int, host_namespace: int, options: ProgramOptions) -> None:
        constants = self._map(handle, ".rodata")
        size = ctypes.c_size_t()
        address = self._call("bpf_map__initial_value", constants, ctypes.byref(size))
        ctypes.c_uint32.from_address(address).value = host_namespace
        self._call("bpf_map__set_max_entries", self._map(handle, "scratch"), ctypes.c_uint32(self.possible_cpus()))
        self._call("bpf_map__set_max_entries", self._map(handle, "ring"), ctypes.c_uint32(options.ring_bytes))
        wanted = options.programs()
        for link, name in ALL.items():
            program = ctypes.c_void_p(self._program(handle, name.encode()))
            self._call("bpf_program__set_autoload", program, ctypes.c_bool(link in wanted))

    def _program(self, handle: int, name: bytes) -> int:
        return self._call("bpf_object__find_program_by_name", handle, name)

    def _map(self, handle: int, name: str) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._call("bpf_object__find_map_by_name", handle, name.encode()))

    def _fd(self, handle: int, name: str) -> int:
        return int(self._lib.bpf_map__fd(self._map(handle, name)))

    def _call(self, name: str, *arguments: Any) -> int:
        """Call a function that gives a pointer (NULL is an error) or an int (negative is an error)."""
        converted = [ctypes.c_void_p(value) if isinstance(value, int) else value for value in arguments]
        result = getattr(self._lib, name)(*converted)
        if result is None or (name not in _POINTERS and result < 0):
            code = ctypes.get_errno()
            raise CaptureUnavailable(f"eBPF capture: {name} failed: {os.strerror(code)}{_hint(code)}")
        return int(result)


def _opening(*, may_read_modules: bool) -> _OpenOptions:
    """How the object is opened: types that the kernel itself lacks are looked for in its modules, where that may be.

    libbpf before 1.3 fails where it may not (it takes SYS_ADMIN), though our programs do without such types.
    Named as a custom file, the kernel's own types are all that it looks at.
    """
    path = None if may_read_modules else bytes(_BTF)
    return _OpenOptions(size=ctypes.sizeof(_OpenOptions), btf_custom_path=path)


def _has_sys_admin() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def _hint(code: int) -> str:
    """Return the usual cause of this error number."""
    return " (needs root, or the capabilities BPF, PERFMON and SYS_RESOURCE)" if code in {1, 13} else ""
