"""The kinds of drift: the one place that lists them, with their names and definitions.

A kind is added here alone: once to `DriftKind`, which type checkers read, and once to `DRIFT_KINDS`. The wire, the
policy document, the pages and the docs derive from both; the tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

DriftKind = Literal[
    "new_file",
    "replaced",
    "copy_of_image_file",
    "fileless",
    "volume",
    "foreign_mount",
    "script",
    "loader",
    "library",
    "interpreter",
    "image_volume",
]


@dataclass(frozen=True, slots=True)
class KindDefinition:
    """One kind of drift. `alert_text` is the first clause of an alert's description.

    `is_reported`: sensors report it unless the document's `detect` says otherwise.
    `is_routine`: it is part of everyday operations, so only a rule that names it in `drift_kind` may block it.
    """

    name: DriftKind
    label: str
    definition: str
    alert_text: str
    is_reported: bool = True
    is_routine: bool = False


DRIFT_KINDS: Final = (
    KindDefinition(
        "new_file",
        "New file",
        "An executable at a path that the image does not have.",
        "A file that is not in the container's image was executed",
    ),
    KindDefinition(
        "replaced",
        "Replaced file",
        "A file of the image whose content was changed after the container started.",
        "A file of the container's image was replaced and executed",
    ),
    KindDefinition(
        "copy_of_image_file",
        "Copy of an image file",
        "A new file with the content of an executable of the image.",
        "A copy of a file of the container's image was executed",
    ),
    KindDefinition(
        "fileless",
        "Fileless",
        "A program run from memory, without any file.",
        "A program without a file was executed from memory",
    ),
    KindDefinition(
        "volume",
        "Volume",
        "An executable on a volume that the runtime mounted, ConfigMap scripts included.",
        "A file on a volume of the container was executed",
        is_routine=True,
    ),
    KindDefinition(
        "foreign_mount",
        "Foreign mount",
        "An executable on a mount made inside the container after its start.",
        "A file on a mount that was made inside the running container was executed",
    ),
    KindDefinition(
        "script",
        "Script",
        "A drifted script with #!, run by an interpreter.",
        "A script that is not in the container's image was executed",
        is_routine=True,
    ),
    KindDefinition(
        "loader",
        "Loader",
        "A drifted program started through the dynamic loader, as in ld.so PROGRAM.",
        "A program that is not in the container's image was started through the dynamic loader",
    ),
    KindDefinition(
        "library",
        "Library",
        "A drifted library mapped into a program, as by LD_PRELOAD.",
        "A library that is not in the container's image was loaded",
        is_routine=True,
    ),
    KindDefinition(
        "interpreter",
        "Interpreter",
        "A drifted file given to an interpreter of the image. Off by default: it is common.",
        "An interpreter was given a program that is not in the container's image",
        is_reported=False,
        is_routine=True,
    ),
    KindDefinition(
        "image_volume",
        "Image volume",
        "Another image's own file, mounted as a volume. Off by default: the runtime put it there.",
        "A file of another image, mounted as a volume of the container, was executed",
        is_reported=False,
        is_routine=True,
    ),
)
KINDS: Final = tuple(kind.name for kind in DRIFT_KINDS)
DEFAULT_DETECT: Final = tuple(kind.name for kind in DRIFT_KINDS if kind.is_reported)
NEVER_BLOCKED: Final = frozenset({"loader", "library", "interpreter"})
"""Kinds that have no exec of their own, so that no sensor stops them."""
NAMED_TO_BLOCK: Final = frozenset(kind.name for kind in DRIFT_KINDS if kind.is_routine)
"""Kinds that only a rule which names them in `drift_kind` may block."""
