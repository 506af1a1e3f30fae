"""Five workloads that install or build programs and run them, each with the one starter rule that is for it.

What they install is made by `tests/system/planted_inputs.py`, below INPUTS.
"""

from __future__ import annotations

from typing import Final, NamedTuple

INPUTS: Final = "/inputs"
CI_JOB: Final = {"container_name": "build", "pod_name": "runner-x-project-1-concurrent-0", "namespace": "ci"}
GRAFANA: Final = {"container_name": "grafana", "pod_name": "grafana-0", "image_name": "docker.io/grafana/grafana:11"}
PACKAGES: Final = 12
"""Of Debian. Every other one has a script that runs before it is unpacked, or after it is set up."""
WHEELS: Final = 4
MODULES: Final = 4
PLUGINS: Final = 8
TESTED: Final = 2
"""Packages of a Go module, each with a test; and as many programs."""


class Workload(NamedTuple):
    """What a container runs, its place in the estate, and the starter rule for it."""

    name: str
    rule: str
    place: dict[str, str]
    script: str


def _each(count: int, command: str) -> str:
    return f"for n in $(seq 0 {count - 1}); do {command}; done"


WORKLOADS: Final = (
    Workload(
        "apt",
        "ci-apt",
        CI_JOB,
        f"apt-get install -y -qq --no-install-recommends {INPUTS}/debs/*.deb\n"
        + _each(PACKAGES, "tool-$n; tool-$n again"),
    ),
    Workload(
        "pip",
        "ci-pip",
        CI_JOB,
        "pip install --no-index --no-deps --no-compile --disable-pip-version-check --root-user-action=ignore -q "
        f"{INPUTS}/wheels/*.whl\n" + _each(WHEELS, "cli-$n; native-$n; module-$n"),
    ),
    Workload(
        "npm",
        "ci-node",
        CI_JOB,
        "mkdir -p /builds/app; cd /builds/app; npm install --offline --ignore-scripts --no-audit --no-fund "
        f"--loglevel=error {INPUTS}/npm/*.tgz\n"
        + _each(MODULES, "node_modules/.bin/script-$n; node_modules/.bin/native-$n"),
    ),
    Workload(
        "go",
        "ci-go",
        CI_JOB,
        f"cp -r {INPUTS}/go /builds/go; cd /builds/go\n"
        "export CGO_ENABLED=0 GOFLAGS=-mod=mod GOCACHE=/tmp/go-cache GOPATH=/tmp/go GOPROXY=off\n"
        "/usr/local/go/bin/go test -vet=off ./...\n" + _each(TESTED, "/usr/local/go/bin/go run ./run$n"),
    ),
    Workload(
        "self-updater",
        "grafana-plugins",
        GRAFANA,
        _each(
            PLUGINS,
            "mkdir -p /var/lib/grafana/plugins/p$n; t=/var/lib/grafana/plugins/p$n/gpx_p${n}_linux_amd64; "
            f"/usr/share/grafana/bin/grafana copy {INPUTS}/plugins/1-$n $t; $t; "
            f"/usr/share/grafana/bin/grafana copy {INPUTS}/plugins/2-$n $t.new; mv $t.new $t; $t",
        ),
    ),
)
"""Grafana is a stand-in: a program at its place that writes what it is given; the rest are the real tools."""
PRELUDE: Final = "export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive"
