"""What each kind of drift is, for people (the definitions are those of the sensor's docs)."""

from __future__ import annotations

KIND_WORDS: dict[str, tuple[str, str]] = {
    "new_file": ("New file", "An executable at a path that the image does not have."),
    "replaced": ("Replaced file", "A file of the image whose content was changed after the container started."),
    "copy_of_image_file": ("Copy of an image file", "A new file with the content of an executable of the image."),
    "fileless": ("Fileless", "A program run from memory, without any file."),
    "volume": (
        "Volume",
        "An executable on a volume that the runtime mounted, ConfigMap scripts included.",
    ),
    "foreign_mount": ("Foreign mount", "An executable on a mount made inside the container after its start."),
    "script": ("Script", "A drifted script with #!, run by an interpreter."),
    "loader": ("Loader", "A drifted program started through the dynamic loader, as in ld.so PROGRAM."),
    "library": ("Library", "A drifted library mapped into a program, as by LD_PRELOAD."),
    "interpreter": (
        "Interpreter",
        "A drifted file given to an interpreter of the image. Off at first: it is common.",
    ),
}
