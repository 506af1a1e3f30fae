"""Every field of an event is stored: in a column, or in the detail."""

from __future__ import annotations

import json

import msgspec
import pytest

from drift.alerts.domain.enriched_events import IN_COLUMNS, _reader, event_detail
from sensor import wire
from tests.unit.drift.alerts.conftest import event


def test_the_detail_has_every_field_that_no_column_holds() -> None:
    decoded = msgspec.convert(event(process__argv=["./x"], container__runtime="crio"), wire.Event)

    detail = json.loads(event_detail(decoded))

    fields = [name for struct in IN_COLUMNS for name in struct.__struct_fields__ if name not in IN_COLUMNS[struct]]
    assert sorted(detail) == sorted(fields), "no two structs have a field of the same name"
    assert (detail["argv"], detail["runtime"], detail["identity"]) == (["./x"], "crio", "complete")


@pytest.mark.parametrize("struct", IN_COLUMNS)
def test_columns_are_named_as_the_wire_names_them(struct: type[msgspec.Struct]) -> None:
    assert IN_COLUMNS[struct] <= set(struct.__struct_fields__)


@pytest.mark.parametrize("names", [(), ("id",), ("id", "runtime")])
def test_fields_are_read_as_a_tuple_however_few(names: tuple[str, ...]) -> None:
    assert _reader(names)(wire.Container(id="a1", runtime="crio")) == ("a1", "crio")[: len(names)]
