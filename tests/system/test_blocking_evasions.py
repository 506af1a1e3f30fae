"""Evasions of a blocking rule, tried on a real podman container; the image's own files run in each of them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule, kinds
from tests.system.capture.lines import taken_away
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

TOOL = "/usr/bin/busybox-tool"
REPLACED = f"cat /tmp/busybox-probe > {TOOL}; "
SCRIPT = "printf '#!/opt/entry.sh\\n' > /tmp/drop.sh; chmod +x /tmp/drop.sh; "
ON_ITS_OWN_MOUNT = "mount -t tmpfs x /mnt; cp /tmp/busybox-probe /mnt/busybox-x; "
BY_FD = f"exec 7< {TOOL}; ln -s /proc/self/fd/7 /tmp/busybox-fd; /tmp/busybox-fd"
HUGE = "/opt/busybox-huge"
BY_HUGE = f"touch {HUGE}; printf '#!{HUGE} sh\\necho {RAN}\\n' > /tmp/huge.sh; chmod +x /tmp/huge.sh; /tmp/huge.sh"
OWN_CGROUP = "mkdir -p /cgroup && mount -t cgroup2 x /cgroup && "
OWN_CGROUP += (
    "cd /cgroup$(busybox sed -n 's/^0:://p' /proc/self/cgroup) && mkdir -p own && echo 0 > own/cgroup.procs && "
)
OWN_CGROUP += "cd / && umount /cgroup && "
"""In the hierarchy that names containers, whether or not the container was given it."""
EVIL_LOADER = "cat /opt/ld-own > /tmp/ld-evil; echo >> /tmp/ld-evil; chmod +x /tmp/ld-evil; "
RESTORE_LOADER = "rm /opt/ld-own; mv /opt/ld-away /opt/ld-own"
CHAIN = "printf '#!/tmp/c1\\n' > /tmp/c2; printf '#!/tmp/c2\\n' > /tmp/c3; printf '#!/tmp/c3\\n' > /tmp/c4; "
WAYS = {
    "a memfd in a mount namespace of its own": f"run namespace memfd /bin/busybox echo {RAN}",
    "a memfd in a cgroup of its own": f"{OWN_CGROUP}run namespace memfd /bin/busybox echo {RAN}",
    "a memfd by a program of the image": f"exec unshare -m run memfd /bin/busybox echo {RAN}",
    "a new file where its own root shows nothing": f"run namespace elsewhere -- /tmp/busybox-probe echo {RAN}",
    "a memfd there": f"run namespace elsewhere memfd /bin/busybox echo {RAN}",
    "its own mount in a namespace of its own": f"{ON_ITS_OWN_MOUNT} run namespace -- /mnt/busybox-x echo {RAN}",
    "its own root in a namespace of its own": f"{ON_ITS_OWN_MOUNT} exec unshare -m chroot /mnt /busybox-x echo {RAN}",
    "a replaced file out of sight": f"{REPLACED} run elsewhere -- {TOOL} echo {RAN}",
    "a replaced file whose times change": f"{REPLACED} run touching -- {TOOL} echo {RAN}",
    "a replaced file by an idle thread": f"{REPLACED} run idly -- {TOOL} echo {RAN}",
    "a replaced file that is huge": f"{REPLACED} dd if=/dev/zero of={TOOL} bs=1M seek=70 count=0; {TOOL} echo {RAN}",
    "a replaced file by its descriptor": f"{REPLACED} {BY_FD} echo {RAN}",
    "a replaced file that is gone": f"{REPLACED} run deleted {TOOL} echo {RAN}",
    "one moved over": f"cp /tmp/busybox-probe /tmp/x; mv /tmp/x {TOOL}; {TOOL} echo {RAN}",
    "one linked over": f"ln -f /tmp/busybox-probe {TOOL}; {TOOL} echo {RAN}",
    "a replaced file with a loader of its own": f"cat /opt/interpreted > {TOOL}; {TOOL}",
    "a script by a script of the image": f"{SCRIPT} /tmp/drop.sh",
    "a script with many files": f"{SCRIPT} run closing -- /tmp/drop.sh",
    "a script by a touched interpreter that is huge": BY_HUGE,
    "a replaced program interpreter": (
        f"{EVIL_LOADER} mv /opt/ld-own /opt/ld-away; cat /tmp/ld-evil > /opt/ld-own; chmod +x /opt/ld-own;"
        f"/opt/dynamic; {RESTORE_LOADER}"
    ),
    "a program interpreter moved over": (
        f"{EVIL_LOADER} mv /opt/ld-own /opt/ld-away; mv /tmp/ld-evil /opt/ld-own; /opt/dynamic; {RESTORE_LOADER}"
    ),
    "a program interpreter behind a symlink": (
        f"{EVIL_LOADER} mv /opt/ld-own /opt/ld-away; ln -s /tmp/ld-evil /opt/ld-own; /opt/dynamic; {RESTORE_LOADER}"
    ),
    "a program interpreter bound over": f"{EVIL_LOADER} mount --bind /tmp/ld-evil /opt/ld-own; /opt/dynamic;"
    f"{taken_away('/opt/ld-own')}",
    "a program interpreter on its own mount": (
        f"{EVIL_LOADER} {ON_ITS_OWN_MOUNT} cp /tmp/ld-evil /mnt/l; mv /opt/ld-own /opt/ld-away;"
        f"ln -s /mnt/l /opt/ld-own; /opt/dynamic; {RESTORE_LOADER}"
    ),
    "a program interpreter in a memfd": (
        f"{EVIL_LOADER} mv /opt/ld-own /opt/ld-away; ln -s /proc/self/fd/3 /opt/ld-own;"
        f"run kept /tmp/ld-evil /opt/dynamic; {RESTORE_LOADER}"
    ),
    "a script in a memfd": f"printf '#!/bin/sh\\necho {RAN}\\n' > /tmp/m.sh; run memfd /tmp/m.sh",
    "a script between two of the image": (f"printf '#!/bin/sh\\necho {RAN}\\nexit\\n' > /opt/middle.sh; /opt/outer.sh"),
    "the last script of four": (
        f"{CHAIN} printf '#!/bin/sh\\necho {RAN}; exit\\n' > /tmp/c1; chmod +x /tmp/c?; /tmp/c4"
    ),
    "a script on its own mount": (
        f"{ON_ITS_OWN_MOUNT} printf '#!/bin/sh\\necho {RAN}\\n' > /mnt/s; chmod +x /mnt/s; /mnt/s"
    ),
}
IMAGE_S = {
    "a namespace of its own": f"run namespace -- {TOOL} echo {RAN}",
    "a root of its own": f"run namespace elsewhere -- {TOOL} echo {RAN}",
    "out of sight": f"run elsewhere -- {TOOL} echo {RAN}",
    "touched": f"run touching -- {TOOL} echo {RAN}",
    "touched, out of sight": f"touch {TOOL}; run elsewhere -- {TOOL} echo {RAN}",
    "touched, in a namespace of its own": f"touch {TOOL}; run namespace -- {TOOL} echo {RAN}",
    "a script with many files": "run closing -- /opt/entry.sh",
    "touched, and huge": f"touch {HUGE}; {HUGE} echo {RAN}",
    "a program interpreter of the image": "/opt/dynamic",
    "the same, touched and moved": "touch /opt/ld-own; mv /opt/ld-own /opt/x; mv /opt/x /opt/ld-own; /opt/dynamic",
    "a chain of scripts of the image": "/opt/outer.sh",
}


@pytest.fixture(scope="module")
def bed(podman: Podman, unguarded: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A sensor that blocks all drift, scripts too; it starts after everything was tried without it."""
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("evasions")) as made:
        second = {"id": "22222222-2222-2222-2222-222222222222", "name": "Scripts"}
        made.publish(block_rule(podman, process_scope=kinds("script"), **second), block_rule(podman))
        made.start("--kills-per-minute", UNLIMITED)
        yield made


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("tools")
    free = ("-nostdlib", "-fPIE", "-O1")
    own_loader, image_s = (("-pie", f"-Wl,--dynamic-linker={path}") for path in ("/tmp/busybox-loader", "/opt/ld-own"))
    files = {
        "/usr/bin/run": needs.tool(directory / "run"),
        "/opt/loader": needs.tool(directory / "loader", *free, "-static", source="interpreted.c"),
        "/opt/ld-own": needs.tool(directory / "ld-own", *free, "-static", source="interpreted.c"),
        "/opt/dynamic": needs.tool(directory / "dynamic", *free, *image_s, source="interpreted.c"),
        "/opt/interpreted": needs.tool(directory / "interpreted", *free, *own_loader, source="interpreted.c"),
    }
    shutil.copy2(BUSYBOX, directory / "huge")
    os.truncate(directory / "huge", 70 * 1024 * 1024)
    entry = {
        "/opt/entry.sh": f"#!/bin/sh\necho {RAN}\n",
        "/opt/outer.sh": "#!/opt/middle.sh\n",
        "/opt/middle.sh": f"#!/bin/sh\necho {RAN}; exit\n",
    }
    programs = {HUGE: directory / "huge", TOOL: BUSYBOX}
    return podman.image("blocked", {**files, **entry, **programs})


@pytest.fixture(scope="module")
def unguarded(podman: Podman, image: str) -> dict[str, str]:
    """Output of each evasion without a sensor."""
    name = podman.run(image, options=["--privileged"])
    podman.cp(altered_busybox(podman), name, "/tmp/busybox-probe")
    return _each(podman, name, WAYS)


@pytest.fixture(scope="module")
def outputs(bed: Bed, image: str) -> dict[str, str]:
    """Output of each evasion, one after the other in one container."""
    return _each(bed.podman, bed.warm(image, options=["--privileged"]), WAYS)


@pytest.fixture(scope="module")
def of_image(bed: Bed, image: str) -> dict[str, str]:
    """Output of the same with the image's files."""
    return _each(bed.podman, bed.warm(image, options=["--privileged"]), IMAGE_S)


def _each(podman: Podman, name: str, scripts: dict[str, str]) -> dict[str, str]:
    whole = "mkdir /mnt; cat /opt/loader > /tmp/busybox-loader; chmod +x /tmp/busybox-loader; "
    whole += "".join(f"echo ':{what}'; umount /mnt; ({script}); " for what, script in scripts.items())
    parts = podman.shell(name, whole, check=False).stdout.decode().split(":")[1:]
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize("way", WAYS)
def test_drift_runs_without_a_sensor(unguarded: dict[str, str], way: str) -> None:
    assert RAN in unguarded[way]


@pytest.mark.parametrize("way", WAYS)
def test_drift_is_stopped(outputs: dict[str, str], way: str) -> None:
    assert RAN not in outputs[way]


@pytest.mark.parametrize("way", IMAGE_S)
def test_files_of_the_image_run(of_image: dict[str, str], way: str) -> None:
    assert RAN in of_image[way]
