"""A planned rule in words: its name, one plain sentence, and its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from drift.backtest.domain.noise_cells import Cell
from drift.backtest.domain.noise_evidence import NoiseEstate
from drift.backtest.domain.noise_rules import Json, most_common, named
from sensor.names.images import bare_name
from sensor.names.visible_text import visible_text
from sensor.policy import LIMITS

SHOWN: Final = 3


def rule_texts(
    estate: NoiseEstate, cells: Sequence[Cell], rule: Json, removed: int, taken: set[str], *, by_content: bool
) -> dict[str, Any]:
    """Return the rule with a name that is not in `taken` (casefolded, added to it), its sentence and its evidence."""
    writers, images, names = Counter[str](), Counter[str](), Counter[str]()
    days = 0
    for cell in cells:
        row, count = cell.row, len(cell.places)
        writers[estate.fact(row, "written_by_name") or estate.fact(row, "written_by")] += count
        images[_short(estate.workloads[row.workload].image_name)] += count
        names[estate.files[row.file].name] += count
        days |= row.days
    contents = len({content for cell in cells for content in cell.contents})
    named_files, named_images = most_common(names, SHOWN), most_common(images, SHOWN)
    start = f"Noise: {named_files} in {named_images}"
    sessions = {estate.fact(cell.row, "session") for cell in cells}
    whose = ", started by the containers' own programs" if sessions <= {"workload", "init"} else ""
    if by_content:
        files = "one file, known by its content" if contents == 1 else f"{contents} files, known by their contents"
    else:
        files = f"files such as {named_files}, whatever their content"
    sentence = f"Ignores {files}, written by {most_common(writers, SHOWN)} in {named_images}{whose}."
    period = f"from {estate.first_day} to {estate.until.date()}"
    evidence = f"{removed} alerts of a day would have gone, on {days.bit_count()} days {period}"
    note = f"Made by a noise budget: {evidence}: {named_files}."
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
