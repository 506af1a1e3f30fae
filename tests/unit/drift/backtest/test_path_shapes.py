"""Shapes of paths: what looks drawn becomes `*`, and a shape always holds for its path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.backtest.domain.path_shapes import PathShapes, numbered_shape
from sensor.policy.globs import Glob


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/tmp/go-build3482910/b001/exe/main", "/tmp/go-build*/b*/exe/main"),
        ("/tmp/pip-req-build-x8k2l1q9/setup.py", "/tmp/pip-req-build-*/setup.py"),
        ("/opt/app/node_modules/.bin/esbuild", "/opt/app/node_modules/.bin/esbuild"),
        ("/home/u/550e8400-e29b-41d4-a716-446655440000/f", "/home/u/*-*-*-a*-*/f"),
        ("/tmp/lib_x86_6410.so", "/tmp/lib_x*_*.so"),
        ("memfd:x1", "memfd:x*"),
    ],
)
def test_numbers_and_drawn_parts_are_left_out(path: str, shape: str) -> None:
    assert numbered_shape(path) == shape
    assert PathShapes([path])[path] == shape


def test_directories_with_many_names_among_equal_paths_are_drawn() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    paths = [f"/work/{letter * 6}/node_modules/.bin/turbo" for letter in letters]
    few = [f"/srv/{letter * 6}/bin/turbo" for letter in letters[:10]]
    shapes = PathShapes([*paths, *few])
    assert {shapes[path] for path in paths} == {"/work/*/node_modules/.bin/turbo"}
    assert {shapes[path] for path in few} == set(few)


def test_many_names_of_files_keep_their_ending_alone() -> None:
    paths = [f"/tmp/inductor/{chr(97 + number % 26)}{'qrstu'[number // 26]}x.so" for number in range(100)]
    shapes = PathShapes([*paths, "/tmp/inductor/xmrig"])
    assert {shapes[path] for path in paths} == {"/tmp/inductor/*.so"}
    assert shapes["/tmp/inductor/xmrig"] == "/tmp/inductor/xmrig"


@given(st.lists(st.text(alphabet="ab1/.-_*? é", max_size=14), min_size=1, max_size=60))
def test_a_shape_holds_for_its_path(paths: list[str]) -> None:
    shapes = PathShapes(paths)
    for path in paths:
        assert Glob(shapes[path]).holds(path)
