"""An image's name and digest as one reference."""

from __future__ import annotations

import pytest

from sensor.names.images import image_reference


@pytest.mark.parametrize(
    ("name", "digest", "reference"),
    [
        ("app:1", "sha256:ab", "app:1@sha256:ab"),
        ("app:1", None, "app:1"),
        ("app:1", "", "app:1"),
        ("", "sha256:ab", None),
        (None, "sha256:ab", None),
        (None, None, None),
    ],
)
def test_a_reference_is_the_name_and_its_digest(name: str | None, digest: str | None, reference: str | None) -> None:
    assert image_reference(name, digest) == reference
