"""docs/policy-semantics.md matches the code: its tables, limits and commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.policy import LIMITS, check, compile_policy, normalise
from sensor.policy.document_terms import ACTIONS, PROVIDERS, UNLISTED
from sensor.policy.properties import TABLE
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "policy-semantics.md").read_text(encoding="utf-8")


def test_tables_match_the_code() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "policy_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(f"| `{each.name}` |" in PAGE for each in TABLE) == len(TABLE)


def test_every_key_of_a_document_and_its_rules_is_described() -> None:
    document = normalise(document_of(minimal_rule()))
    keys = {*document, *document["rules"][0]} - {"rules", "default", "id", "name"}
    assert [key for key in keys if f"| `{key}` |" not in PAGE] == []
    assert [word for word in (*ACTIONS, *PROVIDERS, *UNLISTED) if f"`{word}`" not in PAGE] == []


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_in_the_table(name: str) -> None:
    if name != "detect":  # a list of kinds, which would repeat before it reaches the limit
        assert f"{LIMITS[name]:,}" in PAGE.split("### Limits")[1].split("##")[0]


def test_the_example_is_valid() -> None:
    example = json.loads(PAGE.split("```json\n")[1].split("```")[0])
    assert check(example) == []
    assert compile_policy(example).decide({"provider": "azure"}).rule == "default"
