"""The flat event that a policy looks at, and the texts that its properties are compared as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sensor.policy.vocabulary import PROCESS_PROPERTIES, PROPERTIES

TEXT_PROPERTIES: Final = (
    "provider",
    "account",
    *(name for name in PROPERTIES if name != "pod_labels"),
    *PROCESS_PROPERTIES,
)
LIBRARY: Final = "docker.io/library/"


class EventInvalid(ValueError):
    """Something that is no event for evaluation; the message names the property."""


def check_event(event: object) -> Mapping[str, object]:
    """Give the event back, or raise EventInvalid: no object, or a property of the wrong type. Unknown keys are fine."""
    if not isinstance(event, Mapping):
        raise EventInvalid("must be an object")
    for name in TEXT_PROPERTIES:
        value = event.get(name)
        if value is not None and not isinstance(value, str):
            raise EventInvalid(f"{name} must be a text or null")
    labels = event.get("pod_labels")
    if labels is None:
        return event
    if not isinstance(labels, Mapping):
        raise EventInvalid("pod_labels must be an object or null")
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise EventInvalid("pod_labels must hold texts only")
    return event


def image_forms(image: str) -> tuple[list[tuple[str, str]], str | None]:
    """The forms that a folded image reference is tested as (DESIGN §2, evaluation 3).

    In: the casefolded `image_name`. Out: with its registry host and, where it has one, without; of each the
    name with its `:tag` and the bare one; and the digest behind `@`, None where there is none.
    """
    name, at, digest = image.partition("@")
    names = [name]
    if name.startswith(LIBRARY):
        names.append(name[len(LIBRARY) :])
    else:
        host, slash, rest = name.partition("/")
        if slash and ("." in host or ":" in host or host == "localhost"):
            names.append(rest)
    return [(name, bare_name(name)) for name in names], digest if at else None


def bare_name(name: str) -> str:
    """An image name without its `:tag`: what follows the first `:` behind the last `/`."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
