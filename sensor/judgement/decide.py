"""Decide whether a file is the image's: a pure function of the facts that `gather` took.

The rules are those of docs/detection.md#how-an-exec-is-decided, one branch each.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from sensor.policy.drift_kinds import DriftKind
    from sensor.wire import HashStatus

Basis = Literal["content", "change_time", "unknown"]

OF_VOLUME_IMAGE: Final = "image_volume"
"""The kind of a file that is the own of an image which the runtime mounted as a volume."""

# Facts and verdicts are structs of msgspec: a frozen dataclass takes ten times as long to make, for every exec.


class Origin(enum.Enum):
    """The filesystem that a file lies on."""

    IMAGE = enum.auto()
    """The container's root, without a copy in overlay's upper layer: only the image can have put it there."""
    UPPER_LAYER = enum.auto()
    """The container's root, in the layer that the container writes to."""
    MEMFD = enum.auto()
    OTHER_MOUNT = enum.auto()
    """Any other filesystem: a volume, a tmpfs, an overlay of the container's own."""


class Content(Struct, frozen=True):
    """A file's size and hash; `sha256` is None unless `status` is "ok"."""

    size: int
    sha256: str | None
    status: HashStatus


class MountedImage(Struct, frozen=True):
    """An image that the runtime mounted as a volume: its reference and digest, None where unknown."""

    name: str | None
    digest: str | None


class Original(Struct, frozen=True):
    """The file that the image shows at a path; its hash is taken only where its size is the same."""

    size: int
    sha256: str | None = None


class ImageFacts(Struct, frozen=True):
    """The image's counterpart of a file: at the same path, else an executable with the same content anywhere."""

    original: Original | None = None
    copy_of: bytes | None = None


class FileFacts(Struct, frozen=True):
    """The facts that decide on one file; for an image's file only `origin` matters.

    `path` is where the container sees it, and `is_bound` whether that is through a mount of a part of its own root
    filesystem. Without `image`, whose layers may be unknown or unreadable, `has_lower` counts: what the kernel knows
    of a lower layer. `is_by_time` where there are no layers, and all that shows that it is not the image's is its
    change time. `dev` is the device of another mount; `is_unchanged` whether an overlay that is mounted there has it in
    no upper layer, None where that was not seen. `volume_image` is the image that the runtime mounted there, whose own
    file it is where `is_unchanged`.
    """

    path: bytes
    origin: Origin
    content: Content = Content(0, None, "gone")
    is_bound: bool = False
    has_lower: bool = False
    image: ImageFacts | None = None
    is_by_time: bool = False
    mounted_by: Literal["runtime", "container", "unknown"] = "unknown"
    is_runtime_init: bool = False
    dev: int | None = None
    is_unchanged: bool | None = None
    volume_image: MountedImage | None = None


class NamedFile(Struct, frozen=True):
    """A file that an exec names, and what drift is called there: "script", "loader", "library" or "interpreter".

    `kind` is None for the program interpreter (PT_INTERP), which runs as directly as the program: drift is called there
    what it is called of a program.
    """

    kind: DriftKind | None
    file: FileFacts


class ExecFacts(Struct, frozen=True):
    """The facts that decide on one exec, one mapping of a library, or (`is_read`) one file of code that is interpreted.

    `via` is what runs or loads other files than `executable`: the executable itself, or the program that maps the
    library; None where there are none. `named` is looked at only where the executable is the image's.
    `is_loaders_program` is a mapping of the very program that a loader was run with, whose exec was reported;
    `is_code_memory` one of a file without a name that holds no program: a just-in-time compiler's memory.
    """

    executable: FileFacts
    via: bytes | None = None
    named: tuple[NamedFile, ...] = ()
    is_library: bool = False
    is_loaders_program: bool = False
    is_code_memory: bool = False
    is_read: bool = False


class Verdict(Struct, frozen=True):
    """A drifted file: `path` is where the container sees it, `via` what ran or loaded it.

    `basis` is what the verdict rests on; "unknown" where the image's layers are: it may be a file of the image that was
    only touched. `dev`, `is_unchanged` and `volume_image` are those of a file on another filesystem than the root.
    """

    kind: DriftKind
    path: bytes
    sha256: str | None
    hash_status: HashStatus
    size: int
    copy_of: bytes | None = None
    via: bytes | None = None
    basis: Basis = "content"
    dev: int | None = None
    is_unchanged: bool | None = None
    volume_image: MountedImage | None = None


def decide(facts: ExecFacts) -> Verdict | None:
    """Return the verdict on one exec; None where all that runs is the image's or the runtime's own."""
    if facts.is_read or facts.is_library:
        kind = _kind_as("interpreter" if facts.is_read else "library", facts.executable)
        if kind is None or facts.is_loaders_program or facts.is_code_memory:
            return None
        return _verdict(kind, facts.executable, facts.via)
    kind = drift_kind(facts.executable)
    if kind is not None and kind != OF_VOLUME_IMAGE:
        # One exec gives one event: of a drifted interpreter with a drifted script, the interpreter's.
        return _verdict(kind, facts.executable, None)
    for named in facts.named:
        kind = drift_kind(named.file)
        if kind is not None and kind != OF_VOLUME_IMAGE:
            return _verdict(named.kind or kind, named.file, facts.via)
    # Nothing of it drifted; the first that is another image's is named, to whom asks for that.
    files = facts.executable, *(named.file for named in facts.named)
    of_volume = next((file for file in files if drift_kind(file) is not None), None)
    if of_volume is None:
        return None
    return _verdict(OF_VOLUME_IMAGE, of_volume, None if of_volume is facts.executable else facts.via)


def is_changed_or_new(file: FileFacts) -> bool:
    """Return whether a file is no image's own, neither this container's nor one that its runtime mounted."""
    return drift_kind(file) not in (None, OF_VOLUME_IMAGE)


def _kind_as(kind: DriftKind, file: FileFacts) -> DriftKind | None:
    found = drift_kind(file)
    return found if found is None or found == OF_VOLUME_IMAGE else kind


def drift_kind(file: FileFacts) -> DriftKind | None:
    """Return the kind of drift that a file is when it runs directly; None for the image's and the runtime's own."""
    if file.origin is Origin.IMAGE:
        return None
    if file.origin is Origin.MEMFD:
        return "fileless"
    if file.origin is Origin.OTHER_MOUNT:
        return _kind_on_mount(file)
    kind = _kind_in_upper_layer(file)
    # A bind mount shows it under a name that may be an image file's.
    return "foreign_mount" if kind is not None and file.is_bound else kind


def _kind_on_mount(file: FileFacts) -> DriftKind | None:
    if file.mounted_by == "container":
        return "foreign_mount"
    # The image's content at that path is the image's: in a volume that the image declares, for one.
    original = file.image.original if file.image is not None else None
    is_image_file = original is not None and _is_same(file.content, original)
    if file.is_runtime_init or is_image_file:
        return None
    return OF_VOLUME_IMAGE if file.volume_image is not None and file.is_unchanged else "volume"


def _kind_in_upper_layer(file: FileFacts) -> DriftKind | None:
    if file.image is None:
        return "replaced" if file.has_lower else "new_file"
    if file.image.original is None:
        return "copy_of_image_file" if file.image.copy_of else "new_file"
    # A content that is not known any more may have been any: the image's own that is there now proves nothing.
    return None if _is_same(file.content, file.image.original) else "replaced"


def _is_same(content: Content, original: Original) -> bool:
    # Two unknown hashes prove nothing.
    return content.size == original.size and content.sha256 is not None and content.sha256 == original.sha256


def _verdict(kind: DriftKind, file: FileFacts, via: bytes | None) -> Verdict:
    content, copy_of = file.content, file.image.copy_of if file.image is not None else None
    hashed = content.sha256, content.status, content.size
    mounted = file.dev, file.is_unchanged, file.volume_image
    return Verdict(kind, file.path, *hashed, copy_of, via, _basis(file), *mounted)


def _basis(file: FileFacts) -> Basis:
    if file.is_by_time:
        return "change_time"
    return "unknown" if file.origin is Origin.UPPER_LAYER and file.image is None else "content"
