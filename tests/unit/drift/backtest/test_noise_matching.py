"""Which evidence a rule ignores: cells weighed as one, against the sensor's decision of every row by itself."""

from __future__ import annotations

import random
from typing import Any

import pytest

from drift.backtest.domain.noise_cells import Cell, Contents, noise_cells
from drift.backtest.domain.noise_evidence import NoiseEstate, NoiseEvidence
from drift.backtest.domain.noise_matching import ignored_cells, ignored_rows
from drift.backtest.domain.noise_rules import NoiseRules, named
from drift.backtest.domain.noise_workloads import WorkloadSpreads
from drift.backtest.domain.noise_writers import file_writer
from sensor.policy import compile_policy
from tests.unit.drift.backtest.noise_samples import Json, line, read_estate

EXPIRES = "2027-01-01T00:00:00Z"


def random_lines(rng: random.Random) -> list[Json]:
    """Return execs of few values each, so that rules of some hold for others in part."""
    images = ["registry.corp/shop/cart:1", "registry.corp/shop/cart:2", "shop/cart", "docker.io/library/nginx:1"]
    paths = ["/tmp/build{}/tool", "/tmp/build{}/b{}/tool", "/tmp/build{}/Tool", "/opt/tool", "/tmp/*/tool"]
    return [
        line(
            rng.randrange(30),
            image=rng.choice(images),
            namespace=rng.choice(["shop", "Shop", ""]),
            owner=rng.choice(["cart", "web"]),
            owner_kind=rng.choice(["Deployment", "Job", ""]),
            path=rng.choice(paths).format(rng.randrange(40), rng.randrange(3)),
            sha256=rng.choice(["a" * 64, "b" * 64, "c" * 64, "", f"{rng.randrange(60):064x}"]),
            kind=rng.choice(["new_file", "new_file", "script"]),
            parent=rng.choice(["sh", "bash", ""]),
            session=rng.choice(["workload", "workload", "exec", ""]),
            written_by=rng.choice(["/usr/bin/tar", "/usr/bin/cp", ""]),
            container_number=rng.randrange(5),
        )
        for _ in range(120)
    ]


def flat(estate: NoiseEstate, row: NoiseEvidence) -> dict[str, Any]:
    """Return a row as a sensor sees it."""
    file = estate.files[row.file]
    return {
        **estate.workloads[row.workload].flat,
        **estate.provenances[row.provenance],
        "process_name": file.name,
        "process_path": file.path,
        "process_sha256": file.sha256 or None,
        "drift_kind": file.kind,
        "file_image": None,
        "parent_process": row.parent or None,
    }


def cells_of(estate: NoiseEstate) -> list[Cell]:
    """Return the cells as a plan has them."""
    writers = {pk: file_writer(facts) for pk, facts in estate.provenances.items()}
    return noise_cells(estate, Contents(estate), WorkloadSpreads(estate, writers))


@pytest.mark.parametrize("seed", range(40))
def test_a_rule_ignores_of_cells_what_a_sensor_ignores_of_rows(seed: int) -> None:
    rng = random.Random(seed)
    estate = read_estate(random_lines(rng))
    cells = cells_of(estate)
    assert sorted(place for cell in cells for place in cell.places) == list(range(len(estate.rows)))
    maker = NoiseRules(estate, cells, EXPIRES)
    groups = [rng.sample(range(len(cells)), rng.randrange(1, min(12, len(cells)))) for _ in range(20)]
    made = [maker.rule(group, by_content=rng.random() < 0.5) for group in groups]
    rules = [rule for rule in made if rule is not None]
    for rule, ignored in zip(rules, ignored_cells(estate, cells, rules), strict=True):
        shown = named(rule, "Noise budget", "Noise budget", "")
        policy = compile_policy({"schema": 1, "rules": [shown], "default": {"action": "alert"}})
        wanted = [n for n, row in enumerate(estate.rows) if policy.decide(flat(estate, row)).action == "ignore"]
        assert ignored_rows(estate, cells, rule, ignored) == wanted
        inside = [set(cell.places) <= set(wanted) for cell in cells]
        assert ignored.whole == [number for number, is_inside in enumerate(inside) if is_inside]
        touched = [number for number, cell in enumerate(cells) if not set(cell.places).isdisjoint(wanted)]
        assert sorted([*ignored.whole, *ignored.partly]) == touched


@pytest.mark.parametrize("seed", range(10))
def test_a_rule_ignores_what_it_is_made_of(seed: int) -> None:
    rng = random.Random(seed)
    estate = read_estate(random_lines(rng))
    cells = cells_of(estate)
    maker = NoiseRules(estate, cells, EXPIRES)
    made = 0
    for _ in range(60):
        group = rng.sample(range(len(cells)), rng.randrange(1, 4))
        rule = maker.rule(group, by_content=rng.random() < 0.5)
        if rule is not None:
            (ignored,) = ignored_cells(estate, cells, [rule])
            assert set(group) <= set(ignored.whole)
            made += 1
    assert made
