"""The words of a notice that gathers many: its title, its lines, and the page it links to."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlencode

from sensor.names.visible_text import visible_text

MAX_LINES: Final = 10
MAX_PATH: Final = 512
"""Characters of a path, as in its column."""
TITLES: Final = {
    "alerts": ("{} new High alert", "{} new High alerts"),
    "health": ("{} condition needs attention", "{} conditions need attention"),
    "halted": ("{} rollout was halted", "{} rollouts were halted"),
}
"""Singular and plural, by the Kind of notice that goes to subscribers."""
PATHS: Final = {"alerts": "/alerts/"}


class NoticeGroup(NamedTuple):
    """One group that a notice lists, with the totals over all groups, listed or not."""

    title: str
    path: str
    size: int
    groups: int
    total: int


def notice_title(kind: str, total: int) -> str:
    """Return the title of a notice that gathers `total` of one kind."""
    return TITLES[kind][total != 1].format(f"{total:,}")


def notice_text(groups: list[NoticeGroup]) -> str:
    """Return one line per listed group, and a last one with the number of groups that are not listed."""
    lines = [f"{visible_text(group.title)} (× {group.size})" for group in groups]
    omitted = groups[0].groups - len(groups)
    return "\n".join([*lines, *([f"… and {omitted:,} more"] if omitted else [])])


def notice_path(kind: str, groups: list[NoticeGroup]) -> str:
    """Return the page to link to: the group's own when there is only one, else that of the kind."""
    return groups[0].path if groups[0].groups == 1 else PATHS.get(kind, "/")


def route_prefix(route: int) -> str:
    """Return what the keys of a route's pending notices begin with: the intervals of each route are its own."""
    return f"{route} "


def route_title(name: str, total: int) -> str:
    """Return the title of a notice of `total` alerts to a route."""
    return f"{name}: {total:,} new alert{'' if total == 1 else 's'}"


def route_path(query: str, groups: list[NoticeGroup]) -> str:
    """Return the page to link to: the group's own when there is only one, else the alerts that match the query."""
    if groups[0].groups == 1:
        return groups[0].path
    path = f"{PATHS['alerts']}?{urlencode({'query': query})}"
    return path if len(path) <= MAX_PATH else PATHS["alerts"]
