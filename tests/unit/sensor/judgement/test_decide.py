"""The rules of the image test, one line each: which facts give which verdict."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Literal

import pytest

from sensor.judgement import decide as rules
from sensor.judgement.decide import (
    Content,
    ExecFacts,
    FileFacts,
    ImageFacts,
    MountedImage,
    NamedFile,
    Origin,
    Original,
    Verdict,
    decide,
    drift_kind,
)
from sensor.policy.drift_kinds import DriftKind

GOOD, EVIL, LARGER = Content(4, "aa", "ok"), Content(4, "bb", "ok"), Content(5, "cc", "ok")
GONE, TOO_LARGE, UNREADABLE = Content(4, None, "gone"), Content(4, None, "too_large"), Content(4, None, "unreadable")
SHOWN = ImageFacts(original=Original(4, "aa"))
NOT_HASHED = ImageFacts(original=Original(4))
NOTHING = ImageFacts()
COPIED = ImageFacts(copy_of=b"/bin/sh")
IMAGE_FILE = FileFacts(b"/bin/x", Origin.IMAGE)
MODEL = MountedImage("ghcr.io/team/model:3", None)


def upper(content: Content, image: ImageFacts | None, **changes: Any) -> FileFacts:
    return FileFacts(b"/bin/x", Origin.UPPER_LAYER, content, image=image, **changes)


def mounted(by: Literal["runtime", "container", "unknown"], content: Content = EVIL, **changes: Any) -> FileFacts:
    return FileFacts(b"/data/x", Origin.OTHER_MOUNT, content, mounted_by=by, **changes)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        # Where the file lies may decide by itself.
        pytest.param(IMAGE_FILE, None, id="the image's layers"),
        pytest.param(FileFacts(b"/memfd:x", Origin.MEMFD, EVIL), "fileless", id="memfd"),
        pytest.param(FileFacts(b"/memfd:x", Origin.MEMFD, GONE), "fileless", id="memfd that is gone"),
        pytest.param(mounted("runtime"), "volume", id="mounted by the runtime"),
        pytest.param(mounted("container"), "foreign_mount", id="mounted in the container"),
        pytest.param(mounted("unknown"), "volume", id="mounted by whom is unknown"),
        pytest.param(mounted("runtime", UNREADABLE), "volume", id="mounted and unreadable"),
        pytest.param(mounted("runtime", is_runtime_init=True), None, id="the runtime's init"),
        pytest.param(mounted("container", is_runtime_init=True), "foreign_mount", id="over the runtime's init"),
        pytest.param(mounted("runtime", volume_image=MODEL, is_unchanged=True), "image_volume", id="an image volume's"),
        pytest.param(mounted("runtime", volume_image=MODEL, is_unchanged=False), "volume", id="written over it"),
        pytest.param(mounted("runtime", volume_image=MODEL), "volume", id="on an image volume, its own or not unknown"),
        pytest.param(
            mounted("container", volume_image=MODEL, is_unchanged=True), "foreign_mount", id="mounted over it"
        ),
        pytest.param(mounted("runtime", is_unchanged=True), "volume", id="lower file of an overlay that is no image's"),
        # In the upper layer the content is compared with the image's at the path.
        pytest.param(upper(GOOD, SHOWN), None, id="touched"),
        pytest.param(upper(EVIL, SHOWN), "replaced", id="other content"),
        pytest.param(upper(LARGER, NOT_HASHED), "replaced", id="another size"),
        pytest.param(upper(TOO_LARGE, NOT_HASHED), "replaced", id="too large to hash"),
        pytest.param(upper(UNREADABLE, NOT_HASHED), "replaced", id="unreadable"),
        pytest.param(upper(GONE, NOT_HASHED), "replaced", id="gone"),
        pytest.param(upper(GOOD, NOT_HASHED), "replaced", id="the image's file can't be hashed"),
        pytest.param(upper(EVIL, NOTHING), "new_file", id="the image shows nothing there"),
        pytest.param(upper(GOOD, COPIED), "copy_of_image_file", id="an image executable's content elsewhere"),
        pytest.param(upper(GONE, NOTHING), "new_file", id="gone, and the image shows nothing there"),
        pytest.param(upper(GONE, SHOWN), "replaced", id="written to since it ran, whatever it holds now"),
        # Without layers the kernel's knowledge of a lower file counts.
        pytest.param(upper(GOOD, None, has_lower=True), "replaced", id="layers unknown, over a lower file"),
        pytest.param(upper(GOOD, None), "new_file", id="layers unknown, no lower file"),
        pytest.param(upper(GOOD, SHOWN, has_lower=True), None, id="known layers count more than the kernel"),
        # A bind mount shows a file under another name.
        pytest.param(upper(EVIL, NOTHING, is_bound=True), "foreign_mount", id="new file through a bind mount"),
        pytest.param(upper(EVIL, SHOWN, is_bound=True), "foreign_mount", id="replaced through a bind mount"),
        pytest.param(upper(GOOD, SHOWN, is_bound=True), None, id="the image's content through a bind mount"),
    ],
)
def test_the_kind_of_a_file(file: FileFacts, kind: DriftKind | None) -> None:
    assert drift_kind(file) == kind


DRIFT = upper(EVIL, SHOWN)
OF_MODEL = mounted("runtime", volume_image=MODEL, is_unchanged=True)
COPY = upper(GOOD, COPIED)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        pytest.param(ExecFacts(IMAGE_FILE, b"/bin/x"), None, id="image"),
        pytest.param(ExecFacts(DRIFT, b"/bin/x"), Verdict("replaced", b"/bin/x", "bb", "ok", 4), id="drift"),
        pytest.param(
            ExecFacts(COPY, b"/bin/x"),
            Verdict("copy_of_image_file", b"/bin/x", "aa", "ok", 4, copy_of=b"/bin/sh"),
            id="copy",
        ),
        pytest.param(
            ExecFacts(IMAGE_FILE, b"/bin/sh", (NamedFile("script", DRIFT),)),
            Verdict("script", b"/bin/x", "bb", "ok", 4, via=b"/bin/sh"),
            id="an image's interpreter runs drift",
        ),
        pytest.param(ExecFacts(IMAGE_FILE, b"/bin/sh", (NamedFile("script", IMAGE_FILE),)), None, id="image's script"),
        pytest.param(
            ExecFacts(upper(GOOD, SHOWN), b"/bin/sh", (NamedFile("interpreter", COPY),)),
            Verdict("interpreter", b"/bin/x", "aa", "ok", 4, copy_of=b"/bin/sh", via=b"/bin/sh"),
            id="a touched interpreter runs a copy",
        ),
        pytest.param(
            ExecFacts(IMAGE_FILE, b"/ld.so", (NamedFile("loader", IMAGE_FILE), NamedFile("library", DRIFT))),
            Verdict("library", b"/bin/x", "bb", "ok", 4, via=b"/ld.so"),
            id="a loader preloads drift",
        ),
        pytest.param(
            ExecFacts(IMAGE_FILE, b"/ld.so", (NamedFile("loader", DRIFT), NamedFile("library", COPY))),
            Verdict("loader", b"/bin/x", "bb", "ok", 4, via=b"/ld.so"),
            id="the first named file that is drift counts",
        ),
        pytest.param(
            ExecFacts(DRIFT, b"/bin/x", (NamedFile("script", COPY),)),
            Verdict("replaced", b"/bin/x", "bb", "ok", 4),
            id="a drifted interpreter counts before its script",
        ),
        pytest.param(
            ExecFacts(mounted("container"), b"/bin/app", is_library=True),
            Verdict("library", b"/data/x", "bb", "ok", 4, via=b"/bin/app"),
            id="a mapped library",
        ),
        pytest.param(ExecFacts(upper(GOOD, SHOWN), b"/bin/app", is_library=True), None, id="an image's library"),
        pytest.param(
            ExecFacts(DRIFT, b"/ld.so", is_library=True, is_loaders_program=True),
            None,
            id="the loader's program, whose exec was reported",
        ),
        pytest.param(
            ExecFacts(OF_MODEL, b"/data/x", (NamedFile("script", DRIFT),)),
            Verdict("script", b"/bin/x", "bb", "ok", 4, via=b"/data/x"),
            id="an image volume's interpreter runs drift",
        ),
        pytest.param(
            ExecFacts(IMAGE_FILE, b"/bin/sh", (NamedFile("loader", OF_MODEL), NamedFile("library", DRIFT))),
            Verdict("library", b"/bin/x", "bb", "ok", 4, via=b"/bin/sh"),
            id="drift after an image volume's file",
        ),
        pytest.param(
            ExecFacts(IMAGE_FILE, b"/bin/sh", (NamedFile("script", OF_MODEL),)),
            Verdict("image_volume", b"/data/x", "bb", "ok", 4, via=b"/bin/sh", is_unchanged=True, volume_image=MODEL),
            id="an image volume's script",
        ),
        pytest.param(
            ExecFacts(OF_MODEL, b"/bin/app", is_library=True),
            Verdict("image_volume", b"/data/x", "bb", "ok", 4, via=b"/bin/app", is_unchanged=True, volume_image=MODEL),
            id="an image volume's library",
        ),
    ],
)
def test_the_verdict_on_an_exec(facts: ExecFacts, verdict: Verdict | None) -> None:
    assert decide(facts) == verdict


def test_it_decides_from_its_facts_alone() -> None:
    """So each rule can be read and tested without a file or a kernel."""
    tree = ast.parse(Path(rules.__file__).read_text())
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"__future__", "enum", "msgspec", "typing"}
