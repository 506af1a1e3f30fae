"""Check every locked component against the advisories of OSV (https://osv.dev), with or without a network.

With ADVISORIES=DIR it reads the snapshot that osv-scanner reads too, DIR/PyPI/all.zip and DIR/npm/all.zip, from
https://storage.googleapis.com/osv-vulnerabilities/ECOSYSTEM/all.zip. An advisory database cannot be both offline and
fresh, so its date is printed, and one older than MAX_AGE_DAYS (14) fails. Without ADVISORIES it asks api.osv.dev.

Exit status: 0 nothing found; 1 an advisory applies that scripts/audit_exceptions.toml does not explain, or its
explanation has ended; 2 the advisories are missing, damaged or too old.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from scripts.sbom import ROOT, bill_of_materials

API: Final = "https://api.osv.dev/v1"
ECOSYSTEMS: Final = {"pypi": "PyPI", "npm": "npm"}
EXCEPTIONS: Final = ROOT / "scripts" / "audit_exceptions.toml"


class AdvisoriesUnusable(Exception):
    """The advisories cannot be read, or are too old; the message has the reason."""


@dataclass(frozen=True, order=True)
class Component:
    """A locked package."""

    ecosystem: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.ecosystem})"


@dataclass(frozen=True)
class Finding:
    """An advisory that applies to a component. `aliases` are its names elsewhere, such as the CVE's."""

    component: Component
    advisory: str
    aliases: tuple[str, ...]
    summary: str

    def __str__(self) -> str:
        names = ", ".join((self.advisory, *self.aliases))
        return f"{self.component}: {names}: {self.summary}"


def locked_components() -> list[Component]:
    """Return the packages of uv.lock and package-lock.json. Base images have no advisories in OSV."""
    found: list[Component] = []
    for component in bill_of_materials()["components"]:
        kind, _, rest = component.get("purl", "pkg:/").removeprefix("pkg:").partition("/")
        if kind in ECOSYSTEMS:
            name = rest.rpartition("@")[0].replace("%40", "@")
            found.append(Component(ECOSYSTEMS[kind], name, component["version"]))
    return sorted(found)


def snapshot_findings(directory: Path, components: Iterable[Component], oldest: dt.datetime) -> list[Finding]:
    """Return what a downloaded snapshot has on the components. Raises AdvisoriesUnusable."""
    wanted: dict[tuple[str, str], list[Component]] = {}
    for component in components:
        wanted.setdefault((component.ecosystem, canonicalize_name(component.name)), []).append(component)
    found: list[Finding] = []
    for ecosystem in sorted({ecosystem for ecosystem, _ in wanted}):
        path, newest = directory / ecosystem / "all.zip", ""
        try:
            for advisory in _advisories(path):
                newest = max(newest, advisory["modified"])
                found += _applying(advisory, wanted)
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            raise AdvisoriesUnusable(f"{path}: {error!r}") from None
        if not newest or dt.datetime.fromisoformat(newest) < oldest:
            raise AdvisoriesUnusable(f"{path}: its newest advisory is of {newest[:10] or 'no date'}; download it again")
        print(f"{path}: newest advisory of {newest[:10]}")
    return found


def _advisories(path: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                yield json.loads(archive.read(name))


def _applying(advisory: dict[str, Any], wanted: dict[tuple[str, str], list[Component]]) -> Iterator[Finding]:
    if advisory.get("withdrawn"):
        return
    for affected in advisory.get("affected", []):
        package = affected.get("package", {})
        for component in wanted.get((package.get("ecosystem"), canonicalize_name(package.get("name", ""))), []):
            if is_affected(component.version, affected):
                yield finding(component, advisory)


def is_affected(version: str, affected: dict[str, Any]) -> bool:
    """Return whether one entry of an advisory's `affected` names this version (https://ossf.github.io/osv-schema/).

    A version that cannot be compared counts as affected: somebody should look.
    """
    if version in affected.get("versions", []):
        return True
    ranges = [each for each in affected.get("ranges", []) if each.get("type") in {"ECOSYSTEM", "SEMVER"}]
    try:
        return any(_is_in_range(Version(version), each["events"]) for each in ranges)
    except InvalidVersion:
        return True


def _is_in_range(version: Version, events: list[dict[str, str]]) -> bool:
    """Return whether a range has the version: its last event that is not after it decides."""
    is_inside = False
    for event in sorted(events, key=_place):
        kind, text = next(iter(event.items()))
        if kind == "introduced" and (text == "0" or version >= Version(text)):
            is_inside = True
        elif (kind == "fixed" and version >= Version(text)) or (kind == "last_affected" and version > Version(text)):
            is_inside = False
    return is_inside


def _place(event: dict[str, str]) -> Version:
    text = next(iter(event.values()))
    return Version("0.dev0" if text == "0" else text)


def finding(component: Component, advisory: dict[str, Any]) -> Finding:
    """Return that the advisory applies to the component."""
    summary = advisory.get("summary") or advisory.get("details", "").partition("\n")[0]
    return Finding(component, advisory["id"], tuple(advisory.get("aliases", [])), summary)


def network_findings(components: list[Component]) -> list[Finding]:
    """Return what api.osv.dev has on the components. Raises AdvisoriesUnusable."""
    queries = [
        {"package": {"ecosystem": each.ecosystem, "name": each.name}, "version": each.version} for each in components
    ]
    try:
        with httpx.Client(base_url=API, timeout=60) as client:
            response = client.post("/querybatch", json={"queries": queries}).raise_for_status()
            results = response.json()["results"]
            if len(results) != len(components):
                raise AdvisoriesUnusable(f"{API} answered {len(results)} of {len(components)} queries")
            return [
                finding(component, client.get(f"/vulns/{vulnerability['id']}").raise_for_status().json())
                for component, result in zip(components, results, strict=True)
                for vulnerability in result.get("vulns", [])
            ]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise AdvisoriesUnusable(f"{API}: {error!r}. Without a network: ADVISORIES=DIR") from None


def unexplained(found: Iterable[Finding], exceptions: dict[str, Any], today: dt.date) -> list[str]:
    """Return a line for each finding without an exception that still holds, by the id of the advisory or an alias."""
    lines = []
    for each in found:
        names = {each.advisory, *each.aliases}
        known = [rule for name, rule in exceptions.items() if name in names]
        if not known:
            lines.append(str(each))
        elif all(rule["until"] < today for rule in known):
            lines.append(f"{each} (its exception ended on {max(rule['until'] for rule in known)})")
    return lines


def main() -> int:
    components, given = locked_components(), os.environ.get("ADVISORIES")
    age = dt.timedelta(days=int(os.environ.get("MAX_AGE_DAYS", "14")))
    try:
        if given:
            found = snapshot_findings(Path(given), components, dt.datetime.now(dt.UTC) - age)
        else:
            found = network_findings(components)
    except AdvisoriesUnusable as error:
        print(f"The dependencies could not be audited: {error}", file=sys.stderr)
        return 2
    lines = unexplained(found, tomllib.loads(EXCEPTIONS.read_text()), dt.datetime.now(dt.UTC).date())
    print("\n".join(lines) or f"{len(components)} locked packages: no advisory applies")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
