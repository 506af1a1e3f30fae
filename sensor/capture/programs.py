"""The kernel program's parts: its maps, its programs and what each is attached to, and which of them are wanted."""

from __future__ import annotations

import dataclasses
import enum
from typing import Final

MAPS: Final = (
    "ring", "stats", "namespaces", "state", "enforcement", "image_names", "marks", "guard", "observed", "tracks",
    "kept_execs", "claims", "processes", "places", "first_processes", "writers",
)  # fmt: skip
LINK_NAME: Final = "{}_link"
JOINS: Final = "on_join"
"""The program that sees who enters a container."""
TRACED_FUNCTIONS: Final = {
    "on_open": "security_file_open",
    "on_modified": "file_modified",
    "on_kiocb_modified": "kiocb_modified",
    "on_update_time": "file_update_time",
    "on_fallocate": "vfs_fallocate",
    "on_shared_map": "security_mmap_file",
    "on_cut": "notify_change",
    "on_memfd_write": "shmem_write_begin",
    "on_memfd_write_old": "generic_perform_write",
    "on_trace": "security_ptrace_access_check",
    JOINS: "mntns_install",
}
"""The programs that keep the record of writers and of sessions, and the kernel function that each traces."""
TRACEPOINTS: Final = {
    "on_ext4_delayed_write": "ext4_da_write_begin",
    "on_ext4_write": "ext4_write_begin",
    "on_ext4_cut": "ext4_truncate_enter",
    "on_ext4_allocate": "ext4_fallocate_enter",
    "on_ext4_punch": "ext4_punch_hole",
    "on_ext4_collapse": "ext4_collapse_range",
    "on_ext4_insert": "ext4_insert_range",
    "on_ext4_zero": "ext4_zero_range",
    "on_ext4_exchange": "ext4_es_remove_extent",
    "on_direct_access": "iomap_dio_rw_begin",
    "on_page_write": "block_dirty_buffer",
}
"""Those that keep it where no function can be traced, and the tracepoint that each takes; it says less."""
FAULTS: Final = {"on_fault": "mm_filemap_fault", "on_map_pages": "mm_filemap_map_pages"}
"""Those that see writes through a mapping there on other filesystems: attached where a container's files need them, for
each exec has dozens of page faults."""
MISSING_ON_SOME: Final = frozenset({"on_kiocb_modified", JOINS})
"""Functions of newer kernels alone, where on older ones another of them is called; and one that sessions do without."""
MEMFD_WRITES: Final = ("on_memfd_write", "on_memfd_write_old")
"""One or the other: before Linux 5.19 the better one has more arguments than can be traced."""
LOOK: Final = "on_look"
READS: Final = ("on_interpreter", "on_read_open", "on_read_pages")
"""The programs that see what interpreters read: their standard input, and files by a function or a tracepoint."""
KEEPERS: Final = ("on_keep", "on_keep_old")
"""One or the other keeps the last execs of containers: from Linux 5.12 on, and before."""
FOLLOWERS: Final = (("on_fork", "on_exit"), ("on_fork_old", "on_exit_old"))
"""One pair or the other follows the start and the end of processes: from Linux 5.12 on, and before."""


class Mappings(enum.Enum):
    """Programs that find a program interpreter among the mappings of its exec, on kernels old and new."""

    START = "on_mapping"
    LIST = "on_mapping_list"


@dataclasses.dataclass(frozen=True)
class ProgramOptions:
    """How the program is loaded: the ring's size in bytes, and what it watches beside execs.

    `libraries` that programs map; `writers` of files; `mappings`: the programs that find a program interpreter;
    `record`: those that keep the record of writers, none where the kernel can't; `faults`: more of them.
    """

    ring_bytes: int
    libraries: bool
    writers: bool = True
    mappings: tuple[Mappings, ...] = (Mappings.START,)
    record: tuple[str, ...] = ()
    keeper: str = KEEPERS[0]
    """The program that keeps the last execs of containers; "" for none."""
    followers: tuple[str, ...] = FOLLOWERS[0]
    """The programs that follow each process in a container, from its start to its end; none: nothing is known of it."""
    reads: tuple[str, ...] = ()
    """The programs that see what interpreters read, attached while a policy wants interpreters."""
    faults: tuple[str, ...] = ()
    """The programs that see page faults, attached from when a container's files need it."""
    interpreters: int = 32_768
    """That may run at once: what more of them read is not followed, and counted."""

    def programs(self) -> dict[str, str]:
        """Return the names of the programs to attach at once, by those of their links, in the order of their runs."""
        finders = {f"{finder.name.lower()}_link": finder.value for finder in self.mappings}
        return {
            **finders,
            **dict(zip(("fork_link", "exit_link"), self.followers, strict=False)),
            "exec_link": "on_exec",
            **({"keep_link": self.keeper} if self.keeper else {}),
            **({"write_link": "on_write"} if self.writers else {}),
            **({"mmap_link": "on_mmap"} if self.libraries else {}),
            **{LINK_NAME.format(program): program for program in self.record},
        }

    @property
    def waiting(self) -> tuple[str, ...]:
        """The names of those that are loaded, and attached only when something needs them."""
        return (*self.reads, *self.faults)


_RECORD: Final = (LOOK, *TRACED_FUNCTIONS, *TRACEPOINTS)
_MOST: Final = ProgramOptions(0, libraries=True, mappings=tuple(Mappings), record=_RECORD).programs().values()
ALL: Final = (*_MOST, KEEPERS[1], *FOLLOWERS[1], *READS, *FAULTS)
"""Every program."""
