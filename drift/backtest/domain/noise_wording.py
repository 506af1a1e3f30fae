"""A planned rule in words: its name, one plain sentence, and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from drift.backtest.domain.noise_evidence import NoiseEstate, NoiseEvidence
from drift.backtest.domain.noise_rules import Json, most_common, named
from sensor.names.images import bare_name
from sensor.names.visible_text import visible_text
from sensor.policy import LIMITS

SHOWN: Final = 3


def rule_texts(
    estate: NoiseEstate, rows: Sequence[NoiseEvidence], rule: Json, removed: int, taken: set[str], *, by_content: bool
) -> dict[str, Any]:
    """Return the rule with a name that is not in `taken` (casefolded, added to it), its sentence and its evidence."""
    writers = most_common(
        (estate.fact(row, "written_by_name") or estate.fact(row, "written_by") for row in rows), SHOWN
    )
    images = most_common((_short(estate.workloads[row.workload].image_name) for row in rows), SHOWN)
    names = most_common((estate.files[row.file].name for row in rows), SHOWN)
    contents = len({estate.files[row.file].sha256 for row in rows})
    days = 0
    for row in rows:
        days |= row.days
    start = f"Noise: {names} in {images}"
    sessions = {estate.fact(row, "session") for row in rows}
    whose = ", started by the containers' own programs" if sessions <= {"workload", "init"} else ""
    if by_content:
        files = "one file, known by its content" if contents == 1 else f"{contents} files, known by their contents"
    else:
        files = f"files such as {names}, whatever their content"
    sentence = f"Ignores {files}, written by {writers} in {images}{whose}."
    note = f"Made by a noise budget: {removed} alerts of a day would have gone, on {days.bit_count()} days: {names}."
    return named(rule, _free_name(visible_text(start), taken), visible_text(sentence), visible_text(note))


def _short(image: str) -> str:
    return bare_name(image).rpartition("/")[2]


def _free_name(name: str, taken: set[str]) -> str:
    number = 1
    while True:
        suffix = f" ({number})" if number > 1 else ""
        candidate = name[: LIMITS["name"] - len(suffix)].rstrip() + suffix
        if candidate.casefold() not in taken:
            taken.add(candidate.casefold())
            return candidate
        number += 1
