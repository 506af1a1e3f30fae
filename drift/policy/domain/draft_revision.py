"""Which state of a draft a client saw."""

from __future__ import annotations

from dataclasses import dataclass

from drift.policy.errors import StaleDraft


@dataclass(frozen=True)
class DraftRevision:
    """The version that a draft started from, and the draft's revision (0: no draft yet).

    Written `12.3`: the draft's ETag in the API, and a hidden field of every form.
    """

    base: int
    revision: int

    @classmethod
    def parse(cls, string: str) -> DraftRevision:
        """Return the revision that `string` names. Raises StaleDraft where it names none."""
        base, _, revision = string.strip().strip('"').partition(".")
        if not (_is_number(base) and _is_number(revision)):
            raise StaleDraft
        return cls(int(base), int(revision))

    def expect(self, seen: DraftRevision) -> None:
        """Do nothing if the client saw this revision. Raises StaleDraft."""
        if seen != self:
            raise StaleDraft

    def __str__(self) -> str:
        return f"{self.base}.{self.revision}"


def _is_number(string: str) -> bool:
    # The length keeps the number within the column's range, and `int` from reading megabytes of digits.
    return string.isascii() and string.isdigit() and len(string) <= 9
