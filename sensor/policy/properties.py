"""Everything that a policy can look at: the one table from which sensor, previews, pages and docs derive.

A property is added here alone. Each row says what it is called, how rules compare it, which attributes of a wire
event hold it, and which columns of the portal's rows hold it once the event is stored. What reads flat events from
either is made of the table when this module is imported, so that no reader can lack a property.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OPERATORS: Final = ("starts_with", "ends_with", "equals", "contains", "matches")
EQUALS: Final = ("equals",)

SESSION_CAPABILITY: Final = "session"
WRITER_CAPABILITY: Final = "writer"
WRITER_ORIGIN_CAPABILITY: Final = "writer-origin"
WRITER_LINEAGE_CAPABILITY: Final = "writer-lineage"
"""Of sensors whose events say how a process came into its container, who wrote its file, of what origin that is, and
which of the image's programs are above the writer."""

POD_ROLE_SESSIONS: Final = ("probe", "init", "debug")
"""What only a pod's specification tells of a session."""

Scope = Literal["cloud_scope", "resource_scope", "process_scope"]
Form = Literal["string", "names", "labels", "image"]
"""How it is compared: as it is, name by name, label by label as `key=value`, or an image reference in each form."""
LINEAGE_PROPERTY: Final = "written_by_parent"
"""Sensors that do not report WRITER_LINEAGE_CAPABILITY may send a name there that is anybody's."""
NAME_SEPARATOR: Final = "/"
"""Between the names of a property of the form `names`: no program's name has one."""
Row = Literal["workload", "binary", "provenance", "event"]
"""The stored row that holds a property: events that share the row share the value."""


_SCOPE_ROOTS: Final[dict[Scope, set[str]]] = {
    "cloud_scope": {"credential"},
    # A blocked container has no process and no event yet, so a resource scope must not need them.
    "resource_scope": {"container", "owner", "credential"},
    "process_scope": {"process", "event"},
}
_DIFFERING: Final[set[Row]] = {"provenance", "event"}
"""Rows of which the events of one alert may have several."""
_SCOPE_ROWS: Final[dict[Scope, set[Row]]] = {
    "cloud_scope": {"workload"},
    "resource_scope": {"workload", "event"},
    "process_scope": {"binary", "provenance", "event"},
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a flat event.

    `event` are attribute paths from an event's `container` or `process`, from the container's `owner` as the portal
    stores it (`sensor.names.owners.workload_owner`), from the `event` itself, or from the sensor's `credential`; `?`
    follows an attribute that may be None. An image has two paths: its name and its digest.
    `columns` are the Django lookups from the row that `row` names, one for each path. Where that may differ between
    events of one alert, `alert` is the lookup from the alert.
    `is_suggested`: the pages suggest the values that are stored. `values` are all that there are; none: any.
    `capability`: sensors without it report events that lack the property.
    """

    name: str
    label: str
    scope: Scope
    event: tuple[str, ...]
    row: Row
    columns: tuple[str, ...]
    form: Form = "string"
    operators: tuple[str, ...] = OPERATORS
    alert: str = ""
    is_suggested: bool = True
    values: tuple[str, ...] = ()
    capability: str = ""

    def __post_init__(self) -> None:
        # A row that these refuse would be read nowhere, or somewhere else than where the sensor decides.
        roots, rows = _SCOPE_ROOTS[self.scope], _SCOPE_ROWS[self.scope]
        found = {path.partition(".")[0] for path in self.event}
        if not found <= roots or self.row not in rows:
            raise ValueError(f"{self.name}: a {self.scope} is read from {sorted(roots)}, stored per {sorted(rows)}")
        if not len(self.event) == len(self.columns) == (2 if self.form == "image" else 1):
            raise ValueError(f"{self.name}: an image has two paths and two columns, any other property one of each")
        if any(path.count("?") > 1 for path in self.event):
            raise ValueError(f"{self.name}: only one attribute of a path may be None")
        if (self.form == "labels" and self.row != "workload") or (self.form == "image" and self.row == "event"):
            raise ValueError(f"{self.name}: labels are stored per workload alone, images per workload or binary")
        if (self.row in _DIFFERING) is not bool(self.alert):
            raise ValueError(f"{self.name}: `alert` is for what differs from event to event, and needed there")
        if self.values and self.operators != EQUALS:
            raise ValueError(f"{self.name}: one of a few values is compared as a whole")

    @property
    def folds_case(self) -> bool:
        """Whether it is compared without letter case: images and names in Kubernetes are, file names are not."""
        return self.scope == "resource_scope" or self.form == "image"

    @property
    def alert_columns(self) -> tuple[str, ...]:
        """Django lookups from an alert."""
        if self.alert:
            return (self.alert,)
        # An alert refers to its cluster itself: through the workload it would be one more join.
        return tuple(each if each.startswith("cluster__") else f"{self.row}__{each}" for each in self.columns)


TABLE: Final = (
    Property(
        name="provider",
        label="Provider",
        scope="cloud_scope",
        event=("credential.provider",),
        row="workload",
        columns=("cluster__environment__provider",),
        operators=(),
        is_suggested=False,
    ),
    Property(
        name="account",
        label="Account",
        scope="cloud_scope",
        event=("credential.account",),
        row="workload",
        columns=("cluster__environment__account",),
        operators=(),
        is_suggested=False,
    ),
    Property(
        name="container_name",
        label="Container name",
        scope="resource_scope",
        event=("container.name",),
        row="workload",
        columns=("container_name",),
    ),
    Property(
        name="image_name",
        label="Image name",
        scope="resource_scope",
        event=("container.image_name", "container.image_digest"),
        row="workload",
        columns=("image_name", "image_digest"),
        form="image",
    ),
    Property(
        name="namespace",
        label="Namespace",
        scope="resource_scope",
        event=("container.namespace",),
        row="workload",
        columns=("namespace",),
    ),
    Property(
        name="pod_labels",
        label="Pod labels",
        scope="resource_scope",
        event=("container.pod_labels",),
        row="workload",
        columns=("pod_labels",),
        form="labels",
    ),
    Property(
        name="pod_name",
        label="Pod name",
        scope="resource_scope",
        event=("container.pod_name",),
        row="event",
        columns=("pod_name",),
        alert="pod_name",
    ),
    Property(
        name="cluster_name",
        label="Cluster name",
        scope="resource_scope",
        event=("credential.cluster_name",),
        row="workload",
        columns=("cluster__name",),
    ),
    Property(
        name="process_name",
        label="Process name",
        scope="process_scope",
        event=("process.name",),
        row="binary",
        columns=("name",),
    ),
    Property(
        name="process_path",
        label="Process path",
        scope="process_scope",
        event=("process.path",),
        row="binary",
        columns=("path",),
    ),
    Property(
        name="process_sha256",
        label="Process SHA-256",
        scope="process_scope",
        event=("process.sha256",),
        row="binary",
        columns=("sha256",),
        operators=EQUALS,
        is_suggested=False,
    ),
    Property(
        name="parent_process",
        label="Parent process",
        scope="process_scope",
        event=("process.parent?.name",),
        row="event",
        columns=("parent_name",),
        operators=EQUALS,
        alert="detail__event__process__parent__name",
        is_suggested=False,
    ),
    Property(
        name="drift_kind",
        label="Drift kind",
        scope="process_scope",
        event=("event.kind",),
        row="binary",
        columns=("kind",),
        operators=EQUALS,
        is_suggested=False,  # the panel offers all kinds
    ),
    Property(
        name="file_image",
        label="Image of the file",
        scope="process_scope",
        event=("process.file_origin?.image_name", "process.file_origin?.image_digest"),
        row="binary",
        columns=("image_name", "image_digest"),
        form="image",
    ),
    Property(
        name="session",
        label="Session",
        scope="process_scope",
        event=("process.provenance?.session",),
        row="provenance",
        columns=("session",),
        operators=EQUALS,
        alert="detail__event__process__provenance__session",
        is_suggested=False,  # the panel offers all of them
        values=("workload", "exec", *POD_ROLE_SESSIONS),
        capability=SESSION_CAPABILITY,
    ),
    Property(
        name="written_by",
        label="Writer path",
        scope="process_scope",
        event=("process.provenance?.written_by",),
        row="provenance",
        columns=("written_by",),
        alert="detail__event__process__provenance__written_by",
        capability=WRITER_CAPABILITY,
    ),
    Property(
        name="written_by_name",
        label="Writer name",
        scope="process_scope",
        event=("process.provenance?.written_by_name",),
        row="provenance",
        columns=("written_by_name",),
        alert="detail__event__process__provenance__written_by_name",
        capability=WRITER_CAPABILITY,
    ),
    Property(
        name="writer_origin",
        label="Writer origin",
        scope="process_scope",
        event=("process.provenance?.writer_origin",),
        row="provenance",
        columns=("writer_origin",),
        operators=EQUALS,
        alert="detail__event__process__provenance__writer_origin",
        is_suggested=False,
        values=("image", "runtime", "drift"),
        capability=WRITER_ORIGIN_CAPABILITY,
    ),
    Property(
        name=LINEAGE_PROPERTY,
        label="Writer parent",
        scope="process_scope",
        event=("process.provenance?.written_by_parent",),
        row="provenance",
        columns=("written_by_parent",),
        form="names",
        alert="detail__event__process__provenance__written_by_parent",
        capability=WRITER_LINEAGE_CAPABILITY,
    ),
    Property(
        name="written_in_session",
        label="Writer session",
        scope="process_scope",
        event=("process.provenance?.written_in_session",),
        row="provenance",
        columns=("written_in_session",),
        operators=EQUALS,
        alert="detail__event__process__provenance__written_in_session",
        is_suggested=False,
        values=("workload", "exec"),
        capability=WRITER_CAPABILITY,
    ),
)


def names(*, scope: Scope | None = None, row: Row | None = None) -> tuple[str, ...]:
    """Return the names of the properties in a scope, of a row, or both; in the table's order."""
    return tuple(each.name for each in TABLE if scope in (None, each.scope) and (row is None or each.row == row))


BY_NAME: Final = {each.name: each for each in TABLE}
if len(BY_NAME) != len(TABLE):
    raise ValueError("two properties have one name")
RESOURCE_PROPERTIES: Final = names(scope="resource_scope")
"""What a resource scope may look at; compared without letter case."""
PROCESS_PROPERTIES: Final = names(scope="process_scope")
"""What a process scope may look at; compared exactly, but for images."""
WORKLOAD_PROPERTIES: Final = names(scope="resource_scope", row="workload")
"""What is the same for all events of a workload."""
FILE_PROPERTIES: Final = names(row="binary")
"""What is the same for all events of a file."""
PROVENANCE_PROPERTIES: Final = names(row="provenance")
"""What the events of one file may have a few of: who wrote it, and who ran it."""
WRITER_PROPERTIES: Final = tuple(name for name in PROVENANCE_PROPERTIES if name != "session")
"""What is known of those who wrote it."""
EVENT_PROPERTIES: Final = names(row="event")
"""What differs from event to event of one workload and file."""
EQUALS_ONLY: Final = frozenset(each.name for each in TABLE if each.operators == EQUALS)
