"""Events from JSON to their structs, and to the flat events that policies are evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from sensor.names.decode_errors import error_field
from sensor.policy.flat_event import compile_flatten
from sensor.policy.properties import NAME_SEPARATOR, TABLE
from sensor.wire.bounds import MAX_EVENT_BYTES, PodRole
from sensor.wire.event import Container, Event, ProcessProvenance


class WireError(ValueError):
    """A value does not match its struct; `field` names the wrong one, such as `process.path`."""

    def __init__(self, code: Literal["invalid", "nul", "too_large"], message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field


POD_ROLES: Final = frozenset(get_args(PodRole))
"""Sessions that only a pod's specification tells."""
_event_decoder = msgspec.json.Decoder(Event)


def decode_event(raw: bytes | msgspec.Raw) -> Event:
    """Decode one event from JSON. Raises WireError: `too_large` over 32 KiB, `nul`, else `invalid` with the field."""
    data = bytes(raw)
    if len(data) > MAX_EVENT_BYTES:
        raise WireError("too_large", f"An event may take {MAX_EVENT_BYTES} bytes; this one takes {len(data)}.")
    try:
        event = _event_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid", str(error), error_field(error)) from None
    provenance = event.process.provenance
    if provenance is not None:
        event.process.provenance = _as_decided_on(provenance)
    if event.mode == "exec" and event.count != 1:
        raise WireError("invalid", "An exec counts once; only a summary counts several.", "count")
    # PostgreSQL cannot store U+0000. In JSON it is always escaped, so most events need no second look.
    if b"\\u0000" in data and has_nul(event):
        raise WireError("nul", "Strings in an event must not contain NUL.")
    return event


def encode_event(event: Event) -> bytes:
    """Return the JSON of an event as it is sent: also portals read it that do not know the roles of a pod."""
    provenance = event.process.provenance
    if provenance is None:
        return msgspec.json.encode(event)
    sent = _as_sent(provenance)
    if sent is provenance:
        return msgspec.json.encode(event)
    return msgspec.json.encode(
        msgspec.structs.replace(event, process=msgspec.structs.replace(event.process, provenance=sent))
    )


def _as_decided_on(sent: ProcessProvenance) -> ProcessProvenance:
    if sent.pod_role is None and sent.written_below is None and sent.written_by_parent is None:
        return sent
    return msgspec.structs.replace(
        sent,
        session=sent.pod_role or sent.session,
        pod_role=None,
        # Alone it is an older sensor's, who did not ask whether that parent is the image's: anybody's name.
        written_by_parent=sent.written_below,
        written_below=None,
    )


def _as_sent(provenance: ProcessProvenance) -> ProcessProvenance:
    is_role = provenance.session in POD_ROLES
    above = provenance.written_by_parent or ""
    if not is_role and not above:
        return provenance
    sent = msgspec.structs.replace(provenance, session=None, pod_role=provenance.session) if is_role else provenance
    if not above:
        return sent
    return msgspec.structs.replace(sent, written_by_parent=above.partition(NAME_SEPARATOR)[0], written_below=above)


def has_nul(value: object) -> bool:
    """Return whether any string in a decoded value contains U+0000."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(has_nul(item) for item in value)
    return isinstance(value, Struct) and any(has_nul(getattr(value, name)) for name in value.__struct_fields__)


flatten: Callable[[Event, str, str, str], dict[str, Any]] = compile_flatten(
    TABLE, "event, provider, account, cluster_name", "container, process = event.container, event.process"
)
"""Return the flat event that `sensor.policy` evaluates; all but the event comes from the sensor's credential."""
flatten_container: Callable[[Container, str, str, str], dict[str, Any]] = compile_flatten(
    [each for each in TABLE if each.scope != "process_scope"], "container, provider, account, cluster_name"
)
"""Return the flat event of a container, without a process."""
