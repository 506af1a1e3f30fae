"""What API clients send to list alerts and to change their status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from accounts.plain_text import several_lines
from drift.alerts.actions import triage
from drift.alerts.domain.filter_values import AGE, FORMS, MONTH, closed_span
from drift.alerts.domain.filter_values import VALUES as FILTER_VALUES
from drift.alerts.domain.filters import LABELS, MAX_SEARCH, MAX_VALUE, MAX_VALUES
from drift.alerts.domain.query_line import MAX_LINE
from drift.alerts.domain.sort_order import NEWEST_FIRST, SORT_NAMES
from drift.alerts.models import Resolution, Status
from drift.alerts.queries.alert_pages import PAGE_SIZE
from drift.web.requests import bounded_int
from drift.web.serializers import ParameterList, StrictSerializer

MAX_PAGE_SIZE: Final = 200
Field = serializers.Field[Any, Any, Any, Any]


@extend_schema_field({"type": "string", "anyOf": [{"pattern": f"^{MONTH.pattern}$"}, {"format": "date"}]})
class MonthOrDayField(serializers.CharField):
    """A month or a day of the calendar."""

    def run_validation(self, data: Any = empty) -> str:
        """Return the text. Raises ValidationError for anything else."""
        text: str = super().run_validation(data)
        if closed_span(text) is None:
            raise serializers.ValidationError("Enter a month or a day, as in 2026-11.", "invalid")
        return text


def _pattern(pattern: str) -> Callable[[], Field]:
    return lambda: serializers.RegexField(rf"^({pattern})\Z", max_length=MAX_VALUE, trim_whitespace=False)


def _choice(*values: str) -> Callable[[], Field]:
    return lambda: serializers.ChoiceField(values)


def _text() -> Field:
    # An empty one too: the namespace of containers outside Kubernetes, or the rule of what no rule decided.
    return serializers.CharField(max_length=MAX_VALUE, trim_whitespace=False, allow_blank=True)


VALUES: Final[Mapping[str, Callable[[], Field]]] = {
    **{name: _choice(*values) for name, values in FILTER_VALUES.items()},
    **{name: _pattern(form.pattern) for name, form in FORMS.items()},
    "sensor": serializers.UUIDField,
    "newer": _pattern(AGE.pattern),
    "older": _pattern(AGE.pattern),
    "from": serializers.DateField,
    "until": serializers.DateField,
    "day": serializers.DateField,
    "closed": MonthOrDayField,
}
"""The field of one value of a filter, where not any text is a value: `queries/filter_conditions.py` reads no other."""
HELP: Final = {
    "status": "`any`: closed alerts too. Default: the open ones.",
    "environment": "Number or name of a subscription.",
    "cluster": "Number or name of a cluster.",
    "priority": "`urgent` (75 and more), `raised`, `usual`, `calm`, or a least one, as in `60+`.",
    "rule": "Id of a rule, or its name in the latest version.",
    "path": "Path of the file; `*` stands for any characters.",
    "hash": "SHA-256 of the file, or at least its first eight digits.",
    "writer": "Name of the program that wrote the file, or `none`.",
    "parent": "Name of the program that started the file, or `none`.",
    "pod": "Name of a pod, or `none`.",
    "container": "Name of a container, or at least the first eight digits of its id.",
    "verdict": "Without `status`, the closed alerts are searched.",
    "suppression": "Number or name of a suppression rule. Without `status`, the closed alerts are searched.",
    "newer": "Age of the first activity, as in `30m`, `12h`, `2d`, `1w`.",
    "older": "Age of the first activity, as in `30m`, `12h`, `2d`, `1w`.",
    "until": "Last day (UTC) of the first activity.",
    "closed": "Month or day (UTC) in which the alert was closed, as in `2026-11`.",
    "closed_by": "Who closed the alert: number or email address of a user, `me`, or `none`: a rule, or the portal.",
    "assignee": "Number or email address of a user, `me`, or `none`.",
    "incident": "Number of an incident, or `none`.",
    "hour": "Weekday (Monday is 1) and hour (UTC), as in `3-14`.",
    "aside": "`yes`: the alerts that are set aside.",
}


class AlertQuery(StrictSerializer):
    """Which alerts to list: of one filter's values any may hold, and every filter must."""

    q = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_SEARCH,
        help_text="Alert number, or part of a path, command line, image, pod, node, hash, writer or parent.",
    )
    query = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_LINE,
        validators=[several_lines],
        help_text="Filters and search as one line, such as `status:active writer:curl newer:2d`. They are added to the "
        "other parameters.",
    )
    sort = serializers.ChoiceField(
        [*SORT_NAMES, *(f"-{name}" for name in SORT_NAMES)],
        required=False,
        allow_blank=True,
        help_text=f"Column, descending with `-`. Default: `{NEWEST_FIRST}`.",
    )
    after = serializers.CharField(
        required=False, allow_blank=True, help_text="Cursor: `next` of the previous page, in the same order."
    )
    size = serializers.IntegerField(default=PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE, help_text="Alerts a page.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields above, and one for each filter."""
        fields = super().get_fields()
        for name in LABELS:
            fields[name] = ParameterList(
                child=VALUES.get(name, _text)(), required=False, max_length=MAX_VALUES, help_text=HELP.get(name, "")
            )
        return fields


class ChangeStatus(StrictSerializer):
    """A new status for some alerts, each with the revision that the client read."""

    alerts = serializers.DictField(
        child=serializers.IntegerField(min_value=1), help_text="Alert number → revision; at most 1,000."
    )
    status = serializers.ChoiceField(Status.choices)
    verdict = serializers.ChoiceField(
        [(v.value, v.label) for v in Resolution if v != Resolution.SUPPRESSED], required=False, source="resolution"
    )
    comment = serializers.CharField(
        required=False, allow_blank=True, max_length=triage.MAX_COMMENT, validators=[several_lines]
    )
    quiet_until = serializers.DateTimeField(required=False, allow_null=True)
    until_spread = serializers.BooleanField(required=False, default=False)

    def validate_alerts(self, value: dict[str, int]) -> dict[int, int]:
        """Return the alerts by number; JSON keys are always strings."""
        numbers = {bounded_int(key): revision for key, revision in value.items()}
        revisions = {number: revision for number, revision in numbers.items() if number is not None}
        if len(revisions) < len(numbers):
            raise serializers.ValidationError("The keys must be alert numbers.")
        return revisions
