"""One portal for all pages: that which docs/install.md builds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.world import Done, World
from tests.unit.charts import helm

INSTALL = Path(__file__).resolve().parents[2] / "docs/install.md"
TOOLS = ("bash", "jq", "curl", "openssl", "kubectl")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The services and the wheel; a path short enough for sockets."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    helm()
    directory = Path(tempfile.mkdtemp(prefix="dwd-"))
    made = World(directory)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def installed(world: World) -> Done:
    """What the installation printed; afterwards the portal that it installed serves all other pages."""
    done = world.run(INSTALL)
    assert done.status == 0, done.output
    world.serve(done.root / "etc/driftwatch/portal.env")
    return done
