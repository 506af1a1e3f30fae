"""Each command of docs/ is run from the page itself; what needs a cluster or root is checked by stand-ins."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from sensor import __version__
from tests.docs.blocks import PAGES, ROOT, blocks, problem
from tests.docs.conftest import INSTALL
from tests.docs.world import Done, World

KUBERNETES = ("1.34", "1.37")
RUN = [page for page in PAGES if page != INSTALL and any(block.is_executed for block in blocks(page))]


def page_name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", PAGES, ids=page_name)
def test_every_block_says_what_it_is_and_every_command_how_it_is_tested(document: Path) -> None:
    assert [f"{block.place}: {said}" for block in blocks(document) if (said := problem(block))] == []


@pytest.mark.parametrize("document", PAGES, ids=page_name)
def test_blocks_of_data_can_be_read(document: Path) -> None:
    for block in blocks(document):
        if block.language == "yaml":
            assert list(yaml.safe_load_all(block.text)), block.place
        if block.language == "python":
            compile(block.text, block.place, "exec")


def test_commands_name_this_version() -> None:
    named = [
        (block.place, found)
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for found in re.findall(r"driftwatch(?:[_-](?:portal|sensor))?[-:](\d+\.\d+\.\d+)", block.text)
    ]
    assert named
    assert [each for each in named if each[1] != __version__] == []


@pytest.mark.services
def test_the_installation_runs_as_it_is_written(installed: Done, world: World) -> None:
    (link,) = re.findall(rf"{re.escape(world.url)}/\S+", installed.output)
    assert "/link/" in link
    assert_is_valid(installed)


@pytest.mark.services
@pytest.mark.parametrize("document", RUN, ids=page_name)
def test_a_page_s_commands_run_in_order_as_they_are_written(document: Path, installed: Done, world: World) -> None:
    done = world.run(document)
    assert done.status == 0, done.output
    assert_is_valid(done)


def assert_is_valid(done: Done) -> None:
    """What would have been sent to a cluster is valid, and what was named there is part of what we deliver."""
    manifests = _manifests(done.root / "manifests")
    for manifest in manifests:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)
    named = (done.root / "objects").read_text().split() if (done.root / "objects").exists() else []
    assert [each for each in named if each not in DELIVERED] == []


def _manifests(file: Path) -> list[dict[str, object]]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each] if file.exists() else []


DELIVERED = {
    "Job/driftwatch-migrate",
    *(f"Deployment/driftwatch-{name}" for name in ("web", "gateway", "worker", "beat")),
    "DaemonSet/driftwatch-sensor",
    "app.kubernetes.io/name=driftwatch-sensor",
    *(f"app.kubernetes.io/component={name}" for name in ("web", "gateway", "worker", "beat")),
}
"""What charts and kustomization call their objects, with the releases' names of the pages."""
