"""Endings that machines append to names: random parts, hashes, times and ordinals.

They differ from one pod, run or release to the next, so none may stand in what an alert is recognised by.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    _Cutter = Callable[[str], str | None]

MAX_NAME: Final = 63
RANDOM_LENGTH: Final = 5
SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The alphabet of Kubernetes' random endings: no vowels, no 0, 1, 3 (apimachinery, pkg/util/rand)."""
RANDOM: Final = f"[{SAFE}]{{{RANDOM_LENGTH}}}"
_WORDS: Final = frozenset(
    """
    btrfs cntlm cvmfs dbmgr dbsrv dbsvc dns64 gcsfs html5 jdk22 jdk24 jdk25 jffs2 lldpd lxcfs mssql nfsgw nfsv4 nslcd
    pgsql php52 php54 php55 php56 php72 php74 php82 php84 php85 rdbms smbfs snmpd sshfs sshgw tmpfs xhtml
    """.split()  # noqa: SIM905 - a list literal would be one word a line
)
_ABBREVIATION: Final = re.compile(
    "http|smtp|sftp|ftps|tftp|dhcp|mqtt|rtmp|rtsp|grpc|mgmt|ctrl|xmpp|pptp|l2tp|sctp|jdbc"
)
"""Words, and abbreviations with more in front or behind, that could be random endings. Hardly one in 10,000 has one."""

_ID: Final = re.compile(r"(?=.*[0-9])(?:[0-9a-f]{12,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_UUID: Final = re.compile(r"(.+?)[-_.][0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_ULID: Final = re.compile(r"(.+?)[-_.]0[1-7][0-9a-hjkmnp-tv-z]{24}(?:-\d+)?")
"""An id that begins with its time (github.com/ulid/spec), in lower case, of the years from 2004 on."""
_HEX: Final = re.compile(r"(.+)[-_.](?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,64}")
_TEMPLATE_HASH: Final = re.compile(r"(.+)-(?=[bcdf]*[4-9])[4-9bcdf]{6,10}")
"""SafeEncodeString makes these ten characters of the ten decimal digits of a 32-bit hash."""
_TIME: Final = re.compile(r"(.+)[-_.](?:\d{10,20}|\d{8}[-t_]?\d{4,6}z?)")
_RANDOM_ENDING: Final = re.compile(rf"(.+)-({RANDOM})")
_ORDINAL: Final = re.compile(r"(.+)[-_.]\d{1,5}")
_MINUTES: Final = re.compile(r"(.+)-(\d{8})")
_SECONDS: Final = re.compile(r"(.+)-1[4-9]\d{8}")
FIRST_MINUTE: Final = 26_800_000
LAST_MINUTE: Final = 50_000_000
"""Minutes since 1970, of the years 2020 to 2065. Dates such as 20240131 are smaller numbers."""


def without_random_ending(name: str) -> str:
    """Return a run's name without its ids, hashes, random endings and times; dates and ordinals stay."""
    return _without(name, (_scheduled, _random_ending, *map(_matched, (_UUID, _ULID, _TEMPLATE_HASH, _HEX, _TIME))))


def without_generated_ending(name: str) -> str:
    """Return a pod's name without everything that a controller may have appended, ordinals too.

    "" for a name that is nothing but an id.
    """
    if is_id(name):
        return ""
    cut = _cut_stem(name)
    matched = map(_matched, (_UUID, _ULID, _TEMPLATE_HASH, _HEX, _TIME, _ORDINAL))
    return _without(cut or name, (_scheduled, _random_ending, *matched))


def is_id(name: str) -> bool:
    """Whether a name is nothing but an id."""
    return _ID.fullmatch(name) is not None


def is_generated(name: str) -> bool:
    """Whether a name is an id, or ends as that of a single run."""
    return is_id(name) or without_random_ending(name) != name


def scheduled_name(job: str) -> str | None:
    """Return the CronJob's name from its Job's; None where the name does not end in a time.

    The time is in minutes since 1970, before Kubernetes 1.21 in seconds. `migrate-20240131` ends in a date, and a
    number of nine digits, or of more than ten, is neither.
    """
    return _scheduled(job)


def generated_base(pod_name: str, suffix: str = "") -> str | None:
    """Return what precedes the five random characters, and `suffix` before them; None for a name of another form.

    Kubernetes cuts what precedes them at 58 characters, so the dash and part of the suffix may be missing
    (apiserver, pkg/storage/names).
    """
    base, random = pod_name[:-RANDOM_LENGTH], pod_name[-RANDOM_LENGTH:]
    if not re.fullmatch(RANDOM, random):
        return None
    whole = f"-{suffix}-" if suffix else "-"
    if base.endswith(whole):
        return base.removesuffix(whole) or None
    if len(pod_name) != MAX_NAME:
        return None
    length = next((length for length in range(len(whole) - 1, 0, -1) if base.endswith(whole[:length])), 0)
    return base[: len(base) - length].rstrip("-.") or None


def _without(name: str, cutters: tuple[_Cutter, ...]) -> str:
    while True:
        stem = next(filter(None, (cut(name) for cut in cutters)), None)
        if stem is None or not re.search("[a-zA-Z]", stem):
            return name
        name = stem


def _matched(pattern: re.Pattern[str]) -> _Cutter:
    def cut(name: str) -> str | None:
        found = pattern.fullmatch(name)
        return found[1] if found else None

    return cut


def _random_ending(name: str) -> str | None:
    found = _RANDOM_ENDING.fullmatch(name)
    is_word = found is not None and (found[2] in _WORDS or _ABBREVIATION.search(found[2]) is not None)
    return found[1] if found and not is_word else None


def _scheduled(name: str) -> str | None:
    if found := _MINUTES.fullmatch(name):
        return found[1] if FIRST_MINUTE <= int(found[2]) <= LAST_MINUTE else None
    found = _SECONDS.fullmatch(name)
    return found[1] if found else None


def _cut_stem(name: str) -> str | None:
    """Return what precedes the random ending of a name that was cut, without a part of a hash before it."""
    base = generated_base(name) if len(name) == MAX_NAME and name[-RANDOM_LENGTH - 1] != "-" else None
    return re.sub(r"-(?=[bcdf]*[4-9])[4-9bcdf]{1,10}$", "", base) if base else None
