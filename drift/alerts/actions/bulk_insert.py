"""Make and insert rows of models in as few statements as possible, past the ORM, which takes longer than PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from django.db import connection, models
from django.db.models.base import ModelState
from psycopg import sql

from accounts.prepared_rows import prepared_rows

Row = TypeVar("Row", bound=models.Model)
Values = dict[str, Any]
Family = tuple[models.Model, Sequence[tuple[type[models.Model], Values]]]
"""A row, and `child_row`s of other models that refer to it."""


def new_row(model: type[Row], **values: Any) -> Row:
    """Return `model(**values)` in a tenth of the time. Values are columns': `cluster_id`, and no `cluster`.

    Sends no signals. Raises TypeError for what is not a column.
    """
    constants, computed = _defaults(model)
    if unknown := values.keys() - constants.keys() - computed.keys():
        raise TypeError(f"{model.__name__} has no column {', '.join(sorted(unknown))}.")
    row = model.__new__(model)
    row._state = ModelState()
    # Where Django keeps them too, and whence it reads attributes.
    row.__dict__.update(constants)
    row.__dict__.update(values)
    for name, default in computed.items():
        if name not in values:
            row.__dict__[name] = default()
    return row


def child_row(model: type[models.Model], **values: Any) -> tuple[type[models.Model], Values]:
    """Return the values of a new row that is only inserted, in less time than the row. Raises TypeError as `new_row`.

    The column that refers to the parent is missing: the statement that inserts both sets it.
    """
    constants, computed = _child_defaults(model)
    row = constants | values
    if len(row) > len(constants):
        raise TypeError(f"{model.__name__} has no column {', '.join(sorted(values.keys() - constants.keys()))}.")
    for name, default in computed.items():
        if row[name] is None:
            row[name] = default()
    return model, row


@cache
def _child_defaults(model: type[models.Model]) -> tuple[Values, dict[str, Callable[[], Any]]]:
    """Return the defaults of the columns of a child, None where there is none, and what computes the others."""
    constants, computed = _defaults(model)
    given = [field.attname for field in _given_fields(model)]
    return {name: constants.get(name) for name in given}, {name: computed[name] for name in given if name in computed}


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Return the defaults of a model's columns, and what computes those that differ from row to row."""
    fields = model._meta.concrete_fields
    computed = {each.attname: each.default for each in fields if each.has_default() and callable(each.default)}
    return {field.attname: field.get_default() for field in fields if field.attname not in computed}, computed


def copy_rows(rows: Sequence[models.Model]) -> None:
    """Insert many rows of one model by COPY, in the caller's transaction; PostgreSQL assigns ids, which are not learnt.

    Sends no signals. Raises IntegrityError as INSERT would.
    """
    if not rows:
        return
    meta = rows[0]._meta
    fields = _given_fields(type(rows[0]))
    names = sql.SQL(", ").join([sql.Identifier(str(field.column)) for field in fields])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(meta.db_table), names).as_string()
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields])


def insert_families(families: Sequence[Family]) -> None:
    """Insert new rows of one model, and those that refer to them, with one prepared statement; the former get ids.

    Rows that refer to one are of models with one foreign key to it; their own ids are not learnt. The first rows are
    inserted in their order. Sends no signals. Raises IntegrityError as INSERT would.
    """
    if not families:
        return
    parent = type(families[0][0])
    children = tuple(sorted({child for _, rows in families for child, _ in rows}, key=lambda each: each.__name__))
    written = []
    for row, rows in families:
        family: dict[str, Any] = {"parent": _column_values(row)}
        for child, values in rows:
            family.setdefault(child._meta.db_table, []).append(values)
        written.append(family)
    ids = prepared_rows(_families_statement(parent, children), [msgspec.json.encode(written).decode()])
    for (row, _), (pk,) in zip(families, ids, strict=True):
        row.pk = pk


def upsert_rows(rows: Sequence[models.Model], unique: str, update: str) -> dict[Any, int]:
    """Insert rows of one model, or set the column `update` of those whose `unique` column is taken.

    Return the ids by that column. Rows are locked in their order.
    """
    values = [_column_values(row) for row in rows]
    found = prepared_rows(_upsert_statement(type(rows[0]), unique, update), [msgspec.json.encode(values).decode()])
    return dict(found)


def _column_values(row: models.Model) -> dict[str, Any]:
    columns, values = _columns(type(row))
    # PostgreSQL reads what is missing as NULL.
    return {column: value for column, value in zip(columns, values(row), strict=True) if value is not None}


@cache
def _columns(model: type[models.Model]) -> tuple[list[str], Callable[[models.Model], tuple[Any, ...]]]:
    """Return the names of the given columns, and what returns their values."""
    fields = _given_fields(model)
    names = [field.attname for field in fields]
    # Of a single name attrgetter returns the value itself.
    return [str(field.column) for field in fields], attrgetter(*names) if len(names) > 1 else (
        lambda row: (getattr(row, names[0]),)
    )


@cache
def _given_fields(model: type[models.Model]) -> list[Any]:
    """Return the fields that a new row has before it is stored: all but an id that PostgreSQL assigns."""
    return [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]


@cache
def _families_statement(parent: type[models.Model], children: tuple[type[models.Model], ...]) -> str:
    """Return the statement whose parameter is a JSON array of families, and whose rows are the parents' ids."""
    inserts = [_child_insert(parent, child) for child in children]
    table, names = parent._meta.db_table, _names(parent)
    return f"""
WITH given AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('{table}', '{parent._meta.pk.column}')) AS family_id, family, number
    FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS given (family, number)
), stored AS (
    INSERT INTO {table} ("{parent._meta.pk.column}", {names})
    SELECT family_id, {names}
    FROM given CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, family -> 'parent') AS each ORDER BY number
){"".join(inserts)}
SELECT family_id FROM given ORDER BY number
"""  # noqa: S608 - made of the models' own names


def _child_insert(parent: type[models.Model], child: type[models.Model]) -> str:
    table = child._meta.db_table
    (reference,) = [field.column for field in _given_fields(child) if field.related_model is parent]
    names = ", ".join(f'"{field.column}"' for field in _given_fields(child) if field.column != reference)
    return f""", {table}_stored AS (
    INSERT INTO {table} ("{reference}"{", " if names else ""}{names}) SELECT family_id{", " if names else ""}{names}
    FROM given CROSS JOIN LATERAL jsonb_populate_recordset(NULL::{table}, family -> '{table}') AS each ORDER BY number
)"""  # noqa: S608 - made of the models' own names


@cache
def _upsert_statement(model: type[models.Model], unique: str, update: str) -> str:
    table, names = model._meta.db_table, _names(model)
    return f"""
INSERT INTO {table} ({names})
SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)
ON CONFLICT ("{unique}") DO UPDATE SET "{update}" = excluded."{update}"
RETURNING "{unique}", "{model._meta.pk.column}"
"""  # noqa: S608 - made of the model's own names


def _names(model: type[models.Model]) -> str:
    return ", ".join(f'"{field.column}"' for field in _given_fields(model))
