"""What is counted of execs that could not be judged."""

from __future__ import annotations

from typing import cast

from sensor.container.identify import Identifier
from sensor.judgement.examine import Examiner
from sensor.judgement.gather import FactGatherer


def test_what_the_backend_and_the_judgement_lose_for_one_reason_is_added_up() -> None:
    examiner = Examiner(cast("Identifier", None), cast("FactGatherer", None), lambda: 0)
    examiner.lose("unreadable")
    examiner.lose("file_gone")
    assert examiner.snapshot(9, unreadable=2, queue=1, connector=0).lost == {
        "unreadable": 3,
        "file_gone": 1,
        "queue": 1,
    }
