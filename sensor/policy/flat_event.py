"""Flat events, which the evaluator compares: read from wire events and from stored rows by the table of properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sensor.names.images import image_reference
from sensor.names.owners import workload_owner
from sensor.policy.properties import BY_NAME, TABLE, WORKLOAD_PROPERTIES, Property

STRING_PROPERTIES: Final = tuple(each.name for each in TABLE if each.form != "labels")
LABEL_PROPERTIES: Final = tuple(each.name for each in TABLE if each.form == "labels")
Facts = dict[str, Any]


class EventInvalid(ValueError):
    """A value that is not an event for evaluation; the message names the property."""


def check_event(event: object) -> Mapping[str, object]:
    """Return the event if it is an object whose properties have the right types; else raise EventInvalid.

    Unknown keys are ignored.
    """
    if not isinstance(event, Mapping):
        raise EventInvalid("must be an object")
    for name in STRING_PROPERTIES:
        value = event.get(name)
        if value is not None and not isinstance(value, str):
            raise EventInvalid(f"{name} must be a string or null")
    for name in LABEL_PROPERTIES:
        _check_labels(name, event.get(name))
    return event


def _check_labels(name: str, labels: object) -> None:
    if labels is None:
        return
    if not isinstance(labels, Mapping):
        raise EventInvalid(f"{name} must be an object or null")
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise EventInvalid(f"{name} must contain only strings")


def compile_flatten(properties: Iterable[Property], parameters: str, prelude: str = "") -> Callable[..., Facts]:
    """Return a function of these parameters that reads the properties into a flat event.

    It is compiled from source text, as dataclasses do: a sensor flattens every event, and calling a reader for each
    property would take twice as long.
    """
    items = ", ".join(f"{each.name!r}: {_expression(each)}" for each in properties)
    source = f"def flatten({parameters}):\n {prelude or 'pass'}\n return {{{items}}}\n"
    namespace: dict[str, Any] = {"image_reference": image_reference, "workload_owner": workload_owner}
    exec(source, namespace)  # noqa: S102 - made of the table alone
    flatten: Callable[..., Facts] = namespace["flatten"]
    return flatten


def _expression(each: Property) -> str:
    parts = [attribute_expression(path) for path in each.event]
    if each.form == "image":
        return f"image_reference({', '.join(parts)})"
    # Pods without labels send {}: nothing can match it, and None is what the evaluator skips.
    return f"{parts[0]} or None" if each.form == "labels" else parts[0]


def attribute_expression(path: str) -> str:
    """Return the Python expression for a property's path; `process.parent?.name` is None without a parent."""
    path = path.removeprefix("credential.")
    if path.startswith("owner."):
        return f"(workload_owner(container).{path.removeprefix('owner.')} or None)"
    optional, mark, _ = path.partition("?")
    value = path.replace("?", "")
    return f"({value} if {optional} is not None else None)" if mark else value


def _compile_workload_key() -> Callable[[Any], tuple[Any, ...]]:
    """Return a function from a flat event to what identifies its workload: provider, account, then the rest.

    Compiled for the same reason: it runs for every decision, and a loop over the names takes half as long again.
    """
    items = ["get('provider')", "get('account')"]
    for name in WORKLOAD_PROPERTIES:
        is_labels = BY_NAME[name].form == "labels"
        items.append(f"tuple(v.items()) if (v := get({name!r})) else None" if is_labels else f"get({name!r})")
    namespace: dict[str, Any] = {}
    exec(f"def key(event):\n get = event.get\n return ({', '.join(items)})\n", namespace)  # noqa: S102 - as above
    key: Callable[[Any], tuple[Any, ...]] = namespace["key"]
    return key


workload_key: Final = _compile_workload_key()


class RowReader:
    """Reads properties from the stored rows of one table: select `columns` in order, and pass the values to `facts`."""

    def __init__(self, properties: Iterable[Property], columns: Callable[[Property], tuple[str, ...]]) -> None:
        self.columns: tuple[str, ...] = ()
        self._strings: list[tuple[str, int]] = []
        self._images: list[tuple[str, int]] = []
        for each in properties:
            (self._images if each.form == "image" else self._strings).append((each.name, len(self.columns)))
            self.columns += columns(each)

    def facts(self, values: Sequence[Any]) -> Facts:
        """Return the flat event of a row's values. An empty string in a column means unknown."""
        facts = {name: values[place] or None for name, place in self._strings}
        for name, place in self._images:
            facts[name] = image_reference(values[place], values[place + 1]) or None
        return facts


WORKLOAD_ROWS: Final = RowReader((each for each in TABLE if each.row == "workload"), lambda each: each.columns)
BINARY_ROWS: Final = RowReader((each for each in TABLE if each.row == "binary"), lambda each: each.columns)
PROVENANCE_ROWS: Final = RowReader((each for each in TABLE if each.row == "provenance"), lambda each: each.columns)
EVENT_ROWS: Final = RowReader((each for each in TABLE if each.row == "event"), lambda each: each.columns)
ALERT_ROWS: Final = RowReader(TABLE, lambda each: each.alert_columns)
