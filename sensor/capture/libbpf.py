"""The few calls of libbpf 1.x that the eBPF backend needs, through ctypes; loaded on first use."""

from __future__ import annotations

import ctypes
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.mapped_writes import spare_clusters
from sensor.capture.programs import (
    ALL,
    FAULTS,
    LOOK,
    MAPS,
    MEMFD_WRITES,
    MISSING_ON_SOME,
    READS,
    TRACED_FUNCTIONS,
    TRACEPOINTS,
)
from sensor.operations.machine import nested_pid_namespace

if TYPE_CHECKING:
    from sensor.capture.programs import ProgramOptions

_PRINT: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTERS: Final = (
    "bpf_object__open_mem",
    "bpf_object__find_map_by_name",
    "bpf_object__find_program_by_name",
    "bpf_program__attach",
    "bpf_map__initial_value",
)
_TRACEPOINT: Final = 5
"""`enum bpf_prog_type`: one that may call whatever our programs call."""
_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_CAP_SYS_ADMIN: Final = 21
WAITING_NAME: Final = "{}_program"
_READ_PAGES: Final = "mm_filemap_get_pages"
_TRACING: Final = 26
"""`enum bpf_prog_type`."""
_RETURN_ZERO: Final = bytes.fromhex("b700000000000000 9500000000000000")
"""A program: r0 = 0; exit."""
_ADD_AND_TELL: Final = bytes.fromhex("7a0af8ff00000000 b701000001000000 db1af8ff01000000") + _RETURN_ZERO
"""A program that adds to a number and gets the sum, as the first of KEEPERS does; those of FOLLOWERS exchange."""
_RAW_TRACEPOINT: Final = 23
_FUNCTION_ENTRY: Final = 24
"""`enum bpf_attach_type`: BPF_TRACE_RAW_TP, BPF_TRACE_FENTRY."""


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


class _LoadOptions(ctypes.Structure):
    """The beginning of `struct bpf_prog_load_opts` (bpf.h of 1.0)."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
    )


@dataclasses.dataclass(frozen=True)
class KernelObjects:
    """The kernel objects of one attached program, as open file descriptors by name.

    MAPS, the links of what is attached, and the programs that wait until something needs them, by WAITING_NAME.
    """

    maps: dict[str, int]
    links: dict[str, int]
    waiting: dict[str, int] = dataclasses.field(default_factory=dict)

    def items(self) -> dict[str, int]:
        """Return all, by name."""
        return self.maps | self.waiting | self.links

    def without_links(self) -> KernelObjects:
        """Detach all programs for good but those that are pinned; return the maps."""
        for fd in (*self.links.values(), *self.waiting.values()):
            os.close(fd)
        return KernelObjects(self.maps, {})

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
            return self._attach_all(handle, options)
        finally:
            self._lib.bpf_object__close(ctypes.c_void_p(handle))

    def _attach_all(self, handle: int, options: ProgramOptions) -> KernelObjects:
        """Attach every wanted program, or none: one that is left attached would go on without a reader."""
        objects = KernelObjects({}, {})
        try:
            objects.maps.update({name: os.dup(self._fd(handle, name)) for name in MAPS})
            for link, program in options.programs().items():
                objects.links[link] = self._attach(handle, program.encode())
            for program in options.waiting:
                fd = os.dup(self._lib.bpf_program__fd(ctypes.c_void_p(self._program(handle, program.encode()))))
                objects.waiting[WAITING_NAME.format(program)] = fd
                # What this kernel refuses shows now, while another way can be tried.
                os.close(self.attach(fd))
        except BaseException:
            objects.close()
            raise
        return objects

    def knows_helper(self, number: int) -> bool:
        """Return whether this kernel has a helper function (`enum bpf_func_id`); True where that is unknown."""
        return bool(self._lib.libbpf_probe_bpf_helper(_TRACEPOINT, number, None))

    def knows_function(self, name: str) -> bool:
        """Return whether the kernel's type information has a function."""
        return self._type_id(name, _FUNCTION_ENTRY) > 0

    def record_functions(self) -> tuple[str, ...]:
        """Return the programs that keep the record of writers by functions; none where they can't be traced."""
        if not self._may_trace(TRACED_FUNCTIONS["on_open"]):
            return ()
        memfd, memfd_old = MEMFD_WRITES
        other = memfd_old if self._may_trace(TRACED_FUNCTIONS[memfd]) else memfd
        wanted = {program: name for program, name in TRACED_FUNCTIONS.items() if program != other}
        found = tuple(program for program, name in wanted.items() if self.knows_function(name))
        return (LOOK, *found) if not wanted.keys() - set(found) - MISSING_ON_SOME else ()

    def record_tracepoints(self) -> tuple[str, ...]:
        """Return those that keep it by tracepoints, which say less; none where the kernel lacks one."""
        needed = (*TRACEPOINTS.values(), *FAULTS.values())
        has_all = all(self._type_id(name, _RAW_TRACEPOINT) > 0 for name in needed)
        return (LOOK, *TRACEPOINTS) if has_all else ()

    def read_programs(self, *, by_functions: bool) -> tuple[str, ...]:
        """Return the programs that see what interpreters read."""
        by_input, by_open, by_page = READS
        if by_functions:
            return (by_input, by_open)
        return (by_input, by_page) if self._type_id(_READ_PAGES, _RAW_TRACEPOINT) > 0 else (by_input,)

    def compares_and_exchanges(self) -> bool:
        """Return whether programs have atomic operations that tell what was there before: since Linux 5.12."""
        program = self._lib.bpf_prog_load(
            _TRACEPOINT, b"probe", b"GPL", _ADD_AND_TELL, ctypes.c_size_t(len(_ADD_AND_TELL) // 8), None
        )
        if program >= 0:
            os.close(program)
        return bool(program >= 0)

    def _may_trace(self, function: str) -> bool:
        """Return whether a program can be attached to a function: not on ARM before 6.4, nor under some lockdowns."""
        options = _LoadOptions(
            size=ctypes.sizeof(_LoadOptions),
            expected_attach_type=_FUNCTION_ENTRY,
            attach_btf_id=self._type_id(function, _FUNCTION_ENTRY),
        )
        code = _RETURN_ZERO
        program = self._lib.bpf_prog_load(
            _TRACING, b"probe", b"GPL", code, ctypes.c_size_t(len(code) // 8), ctypes.byref(options)
        )
        if program < 0:
            return False
        link = self._lib.bpf_raw_tracepoint_open(None, program)
        os.close(program)
        if link >= 0:
            os.close(link)
        return bool(link >= 0)

    def _type_id(self, name: str, attached: int) -> int:
        return int(self._lib.libbpf_find_vmlinux_btf_id(name.encode(), attached))

    def _attach(self, handle: int, program: bytes) -> int:
        link = self._call("bpf_program__attach", self._program(handle, program))
        fd = os.dup(self._lib.bpf_link__fd(ctypes.c_void_p(link)))
        self._lib.bpf_link__destroy(ctypes.c_void_p(link))
        return fd

    def attach(self, program: int) -> int:
        """Attach a loaded program where it belongs; return its link, which detaches it when it is closed."""
        return self._call("bpf_raw_tracepoint_open", None, ctypes.c_int(program))

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

    def find(self, fd: int, key: bytes, size: int) -> bytes | None:
        """Return one element of a map, None where it is not there."""
        value = ctypes.create_string_buffer(size)
        failed = self._lib.bpf_map_lookup_elem(ctypes.c_int(fd), key, value)
        return None if failed else value.raw

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
        values = (ctypes.c_uint32 * 3).from_address(address)
        values[:] = [host_namespace, nested_pid_namespace(), spare_clusters(self.possible_cpus())]
        self._call("bpf_map__set_max_entries", self._map(handle, "scratch"), ctypes.c_uint32(self.possible_cpus()))
        self._call("bpf_map__set_max_entries", self._map(handle, "ring"), ctypes.c_uint32(options.ring_bytes))
        self._call("bpf_map__set_max_entries", self._map(handle, "readers"), ctypes.c_uint32(options.interpreters))
        wanted = {*options.programs().values(), *options.waiting}
        for name in ALL:
            program = ctypes.c_void_p(self._program(handle, name.encode()))
            self._call("bpf_program__set_autoload", program, ctypes.c_bool(name in wanted))

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
    needed = " (needs root, or the capabilities BPF and PERFMON, before Linux 5.11 SYS_RESOURCE too)"
    return needed if code in {1, 13} else ""
