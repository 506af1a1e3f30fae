"""What a person asks about: an event or an alert that is pasted, an alert's number, or path, image and namespace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.http import QueryDict

from sensor import wire
from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import parse_json
from sensor.policy.flat_event import EventInvalid, check_event
from sensor.policy.properties import TABLE

MAX_EVENT: Final = 32_768
MAX_FIELD: Final = 4_096
FIELDS: Final = ("path", "image", "namespace")
NAMES: Final = frozenset(each.name for each in TABLE)
_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")
_NUMBER: Final = re.compile(r"(?:.*/alerts/|alert\s*|#)?(\d{1,18})/?(?:\?.*)?", re.IGNORECASE)


class QuestionInvalid(ValueError):
    """A question that names no event; the message says what is missing."""


@dataclass(frozen=True)
class Question:
    """The alert `alert`, or the flat event `facts`; `place` is the environment for an event that names none."""

    alert: int | None
    facts: Mapping[str, Any]
    place: str = ""


def read_question(data: QueryDict) -> Question:
    """Return what the form asks about. Raises QuestionInvalid."""
    question = _question(data)
    for name, value in question.facts.items():
        if name in NAMES:
            _check_texts(name, value)
    _check_texts("place", question.place)
    return question


def _check_texts(name: str, value: str | Mapping[str, str] | None) -> None:
    """Raise QuestionInvalid for NUL, which PostgreSQL rejects, and half a surrogate pair, which UTF-8 has not."""
    texts = (*value, *value.values()) if isinstance(value, Mapping) else (value or "",)
    if any(map(_UNREADABLE.search, texts)):
        raise QuestionInvalid(f"NUL characters and halves of surrogate pairs are not allowed: see {name}.")


def _question(data: QueryDict) -> Question:
    pasted, place = data.get("event", "").strip(), data.get("place", "")[:MAX_FIELD]
    if len(pasted) > MAX_EVENT:
        raise QuestionInvalid(f"An event has at most {MAX_EVENT} characters.")
    if pasted:
        number = _NUMBER.fullmatch(pasted)
        return Question(int(number[1]), {}) if number else _pasted(pasted, place)
    path, image, namespace = (data.get(name, "")[:MAX_FIELD].strip() for name in FIELDS)
    if not path:
        raise QuestionInvalid("Paste an event or an alert's number, or type the path of a file.")
    facts = {
        "process_path": path if path.startswith("/") else None,
        "process_name": path.rpartition("/")[2],
        "image_name": image or None,
        "namespace": namespace or None,
    }
    return Question(None, facts, place)


def _pasted(text: str, place: str) -> Question:
    try:
        found = parse_json(text.encode("utf-8", "surrogatepass"))
    except UnreadableError as error:
        raise QuestionInvalid(f"This is not an alert's number, nor JSON: {error}.") from error
    if not isinstance(found, dict):
        raise QuestionInvalid("Paste one JSON object.")
    if isinstance(found.get("id"), int) and "resource" in found:
        return Question(found["id"], {})
    event = found["event"] if isinstance(found.get("event"), dict) else found
    if "process" in event or "container" in event:
        return Question(None, _of_sensor(event), place)
    if not NAMES & event.keys():
        raise QuestionInvalid("This object has no property of an event, such as process_path or namespace.")
    try:
        return Question(None, check_event(event), place)
    except EventInvalid as error:
        raise QuestionInvalid(f"This is not an event: {error}.") from error


def _of_sensor(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat event of one in the sensor's format."""
    try:
        read = msgspec.convert(event, wire.Event)
    except msgspec.ValidationError as error:
        raise QuestionInvalid(f"This is not an event of a sensor: {error}.") from error
    place = [event.get(name) for name in ("provider", "account", "cluster_name")]
    provider, account, cluster = (each if isinstance(each, str) else "" for each in place)
    return dict(wire.flatten(read, provider, account, cluster))
