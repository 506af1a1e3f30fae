"""What a hold server does while a container is past its kill limit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sensor.blocking import hold_server, inspectors
from sensor.capture.block_tables import ANY_SCRIPT_INO, ExecMark
from tests.unit.sensor.blocking.hold_bench import Bench, marked


class TestPastTheKillLimit:
    """An attacker who keeps all inspectors busy gets no new file through, and no file of the image is stopped."""

    @pytest.fixture
    def busy(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
        monkeypatch.setattr(inspectors, "MAX_QUEUED", 0)
        monkeypatch.setattr(hold_server, "HOLD_SECONDS", 0.05)
        bench.watch(denies_new=True)
        hanging = bench.hang(monkeypatch)
        yield bench
        hanging.set()

    def test_a_new_file_that_there_is_no_time_to_check_is_denied(self, busy: Bench) -> None:
        busy.follow()
        busy.open(busy.file("new", b"evil"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert marked(busy) == [ExecMark.KILL]

    def test_a_script_only_where_a_rule_names_scripts(self, busy: Bench) -> None:
        busy.follow()
        busy.open(busy.file("drop.sh", b"#!/bin/sh\n"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert marked(busy) == [ExecMark.LATE]
        busy.follow(process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "script"}]}])
        busy.open(busy.file("other.sh", b"#!/bin/sh\n"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert ("mark", os.getpid(), ANY_SCRIPT_INO, ExecMark.KILL) in busy.spy.calls

    def test_a_file_at_a_path_of_the_image_runs(self, busy: Bench) -> None:
        busy.follow()
        busy.open(busy.file("tool", b"touched", image=b"touched"))
        busy.open(busy.file("other", b"replaced", image=b"good"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert marked(busy) == [ExecMark.LATE, ExecMark.LATE]

    @pytest.mark.parametrize(
        "rule",
        [
            {"allow_list": ["new"]},
            {"process_scope": [{"property": "process_name", "any_of": [{"operator": "equals", "value": "other"}]}]},
            {"process_scope": [{"property": "process_sha256", "any_of": [{"operator": "equals", "value": "0" * 64}]}]},
        ],
    )
    def test_a_new_file_that_the_policy_does_not_block_for_certain_runs(
        self, busy: Bench, rule: dict[str, Any]
    ) -> None:
        busy.follow(**rule)
        busy.open(busy.file("new", b"evil"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert marked(busy) == [ExecMark.LATE]

    def test_below_the_limit_again_it_runs(self, busy: Bench) -> None:
        busy.follow()
        busy.watch()
        busy.open(busy.file("new", b"evil"))
        time.sleep(0.1)
        busy.server._keep_deadlines()
        assert marked(busy) == [ExecMark.LATE]

    def test_a_new_file_that_is_too_large_to_read_is_denied(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sensor.files.hashing.Hasher.digest_and_state", lambda *_: (None, "too_large", None))
        bench.follow(allow_list=["sha256:" + "0" * 64])
        bench.open(bench.file("new", b"evil"))
        bench.spy.await_allowed()
        bench.watch(denies_new=True)
        bench.open(bench.file("other", b"evil"))
        bench.spy.await_allowed(2)
        assert marked(bench) == [ExecMark.LATE, ExecMark.KILL]
