"""The conflicts that carry both sides' changes, so that a user or an API client can compare them."""

from __future__ import annotations

from drift.policy.domain.diff import Change
from drift.policy.domain.rebase import Clash
from drift.policy.errors import PolicyConflict


class NewerVersion(PolicyConflict):
    """A save whose base is no longer the latest version.

    `theirs` are the changes from the base to the latest version, `yours` those from the base to the document;
    `twice` the rules that both added, each with different fields.
    """

    default_code = "newer_version"

    def __init__(self, base: int, latest: int, theirs: list[Change], yours: list[Change], twice: list[Change]) -> None:
        super().__init__(f"These changes started from v{base}, and v{latest} has been saved since. Nothing was saved.")
        self.base, self.latest, self.theirs, self.yours, self.twice = base, latest, theirs, yours, twice
        self.extra = {
            "base": base,
            "latest": latest,
            "theirs": [change.as_json() for change in theirs],
            "yours": [change.as_json() for change in yours],
            "added_twice": [change.as_json() for change in twice],
        }


class ProposalClashes(PolicyConflict):
    """A proposal that cannot be accepted as it is: it and the latest version change the same fields differently.

    `clashes` names the rules, and what copying the proposal to a draft would do with each.
    """

    default_code = "proposal_clashes"

    def __init__(self, clashes: list[Clash]) -> None:
        names = ", ".join(clash.name for clash in clashes)
        super().__init__(
            f"The proposal and the latest version both changed: {names}. Copy it to your draft. Nothing was saved."
        )
        self.extra = {"clashes": [{"name": clash.name, "outcome": clash.outcome} for clash in clashes]}
