"""The garbage collector of a web process, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

LOADED: Final = """
import gc, json
import portal.front

known = len(gc.get_objects())

class Circle:
    def __init__(self):
        self.itself = self

left = [Circle() for _ in range(100)]
del left
found = gc.collect()
print(json.dumps({"frozen": gc.get_freeze_count(), "known": known, "found": found,
                  "threshold": gc.get_threshold()[0]}))
"""


def loaded() -> dict[str, Any]:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "SECRET_KEY": "x"}
    env |= {"DATABASE_URL": "postgresql://none@/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    env |= {"MIGRATION_DATABASE_URL": ""}
    done = subprocess.run([sys.executable, "-c", LOADED], env=env, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_what_a_web_process_has_loaded_is_not_searched_again_and_what_it_makes_is_still_collected() -> None:
    seen = loaded()

    assert seen["frozen"] > 100_000
    assert seen["known"] < seen["frozen"] / 5
    assert seen["found"] >= 100
    assert seen["threshold"] > 2_000
