from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.blocking.image_name_filter import FILTER_BYTES, image_file_names, image_id, may_contain, name_filter
from sensor.container.overlay import Layers


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_a_filter_never_denies_a_name_it_contains(names: list[bytes]) -> None:
    bits = name_filter(names)
    assert len(bits) == FILTER_BYTES
    assert all(may_contain(bits, name) for name in names)


def test_a_filter_of_a_typical_image_denies_nearly_all_other_names() -> None:
    bits = name_filter(f"library-{number}.so".encode() for number in range(5_000))
    taken = sum(may_contain(bits, f"xmrig-{number}".encode()) for number in range(10_000))
    assert taken < 50


def test_the_hash_is_fnv_1a_as_the_kernel_program_computes_it() -> None:
    """The published vector for "foobar" is 0x85944171f73967e8: four slices of 17 bits, each 16 further."""
    expected = bytearray(FILTER_BYTES)
    for turn in range(4):
        bit = 0x85944171F73967E8 >> 16 * turn & 0x1FFFF
        expected[bit // 8] |= 1 << bit % 8
    assert name_filter([b"foobar"]) == bytes(expected)


def test_names_of_all_layers_are_read_including_links_and_hidden_files(tmp_path: Path) -> None:
    for path in ("low/usr/bin/tool", "low/.hidden", "top/etc/deep/er/file"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "low/usr/bin/link").symlink_to("tool")
    layers = Layers((bytes(tmp_path / "top"), bytes(tmp_path / "low")), b"/upper")
    assert sorted(image_file_names(layers)) == [b".hidden", b"file", b"link", b"tool"]


def test_an_unreadable_layer_gives_no_names_at_all(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        list(image_file_names(Layers((bytes(tmp_path), bytes(tmp_path / "gone")), b"/upper")))


def test_images_with_different_layers_have_different_numbers() -> None:
    assert image_id(Layers((b"/a", b"/b"), b"/1")) == image_id(Layers((b"/a", b"/b"), b"/2"))
    assert image_id(Layers((b"/a", b"/b"), b"/1")) != image_id(Layers((b"/a/b",), b"/1"))
