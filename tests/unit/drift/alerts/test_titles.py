"""The second line of an alert: what ran, where, and by whom it was written."""

from __future__ import annotations

import pytest

from drift.alerts.domain.alert_wording import what_ran


@pytest.mark.parametrize(
    ("path", "writer", "line"),
    [
        ("/tmp/xmrig", "curl", "xmrig in cart/web — written by curl"),
        ("/usr/local/bin/pip3.12", "", "pip3.12 in cart/web"),
        ("/tmp/gdb — written by dpkg", "", "'gdb — written by dpkg' in cart/web"),
        ("/tmp/x", "dpkg — approved", "x in cart/web — written by 'dpkg — approved'"),
        ("/tmp/x in", "", "'x in' in cart/web"),
        ("/tmp/it's", "", "'it'\"'\"'s' in cart/web"),
    ],
)
def test_a_file_or_writer_cannot_say_more_than_its_name(path: str, writer: str, line: str) -> None:
    assert what_ran(path, "cart", "web", writer) == line


def test_a_container_named_as_its_workload_is_said_once() -> None:
    assert what_ran("/tmp/x", "cart", "cart", "") == "x in cart"
