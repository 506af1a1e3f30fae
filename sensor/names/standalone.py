"""Containers outside Kubernetes whose name a tool made: what stands for the name.

A label alone is not believed, since an image brings its own: the container's name, which no image sets, must agree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sensor.names.docker_names import is_docker_name
from sensor.names.images import bare_name, full_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPOSE: Final = "ComposeService"
SWARM: Final = "SwarmService"
NOMAD: Final = "NomadTask"
ECS: Final = "EcsTask"
IMAGE: Final = "Image"
STANDALONE_KINDS: Final = frozenset({COMPOSE, SWARM, NOMAD, ECS, IMAGE})

_COMPOSE_LABELS: Final = ("com.docker.compose", "io.podman.compose")
_SWARM_TASK: Final = re.compile(r"(.+)\.(?:\d+|[a-z0-9]{25})\.[a-z0-9]{25}")
_NOMAD_TASK: Final = re.compile(r"(.+)-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_COMPOSE_RUN: Final = re.compile(r"(.+)[-_](.+)[-_]run[-_][0-9a-f]{12}")
_ECS_TASK: Final = re.compile(r"ecs-(.+)-\d+-(.+)-[0-9a-f]{16,32}")
_MADE_BY_TOOLS: Final = re.compile(
    r"runner-.+-project-\d+-concurrent-\d+-.+"  # GitLab's runner
    r"|(?:GITEA|FORGEJO)-ACTIONS-TASK-.+"
    r"|drone-[a-z0-9]{20}|wp[-_]0[1-7][0-9a-hjkmnp-tv-z]{24}.*"  # Drone, Woodpecker
    r"|[0-9a-f]{12}-(?:infra|service)"  # podman, of a pod
    r"|.+-working-container(?:-\d+)?"  # buildah
    r"|.+[-_.](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12,64}(?:_.+)?"  # such as Kamal, by the version's commit
    r"|.+[-_.]\d{10,14}"  # such as Coolify, by the time
)
_OF_IMAGE: Final = re.compile(r".+_([a-z0-9]{3,})_[0-9a-f]{6}")
"""Runners of GitHub and agents of Azure: the image's name without its signs, and the start of an id."""
_HEX_ID: Final = re.compile(r"[0-9a-f]{12,64}")
_SHORT_ID: Final = 5
"""Characters of the id with which nerdctl ends the names that it makes."""


def standalone_owner(container_id: str, name: str, image_name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """Return kind and name of what stands for a made-up name: a service or task, else the image.

    Both are empty where a person chose the name, or where nothing can stand for it.
    """
    if owner := _compose(name, labels):
        return COMPOSE, owner
    if found := _SWARM_TASK.fullmatch(name):
        return SWARM, found[1]
    if found := _NOMAD_TASK.fullmatch(name):
        return NOMAD, _nomad(found[1], name, labels)
    if found := _ECS_TASK.fullmatch(name):
        return ECS, f"{found[1]}/{found[2]}"
    if (found := _COMPOSE_RUN.fullmatch(name)) and not labels:
        return COMPOSE, f"{found[1]}/{found[2]}"
    image = _repository(image_name)
    is_made_up = (
        is_docker_name(name)
        or _is_of_id(container_id, name)
        or _MADE_BY_TOOLS.fullmatch(name)
        or _is_of_image(name, image_name)
    )
    return (IMAGE, image) if image and is_made_up else ("", "")


def _compose(name: str, labels: Mapping[str, str]) -> str:
    """Return project and service; "" where the service names its container itself (`container_name`)."""
    for prefix in _COMPOSE_LABELS:
        project, service = labels.get(f"{prefix}.project", ""), labels.get(f"{prefix}.service", "")
        ending = r"(?:run[-_])?(?:\d+(?:_[0-9a-f]{12})?|[0-9a-f]{12})"
        made = f"(?:[0-9a-f]{{12}}_)?{re.escape(project)}[-_]{re.escape(service)}[-_]{ending}"
        if project and service and re.fullmatch(made, name):
            return f"{project}/{service}"
    return ""


def _nomad(task: str, name: str, labels: Mapping[str, str]) -> str:
    """Return job and task where `extra_labels` names the job, else the task."""
    prefix = "com.hashicorp.nomad."
    job = labels.get(f"{prefix}job_name") or labels.get(f"{prefix}job_id")
    return f"{job}/{task}" if job and name.endswith(labels.get(f"{prefix}alloc_id", "-")) else task


def _is_of_id(container_id: str, name: str) -> bool:
    """Whether a name is the id's beginning, or ends with it after a dash."""
    if _HEX_ID.fullmatch(name):
        return True
    ending = name.rpartition("-")[2]
    return len(ending) >= _SHORT_ID and ending != name and container_id.startswith(ending)


def _is_of_image(name: str, image_name: str) -> bool:
    """Whether a name has that of the image in it, without its signs."""
    found = _OF_IMAGE.fullmatch(name)
    return found is not None and re.sub("[^a-z0-9]", "", image_name.lower()).endswith(found[1])


def _repository(image_name: str) -> str:
    """Return an image's name without tag and digest; "" where it is unknown."""
    return bare_name(full_reference(image_name.partition("@")[0]))
