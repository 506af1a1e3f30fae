"""What a policy says of drift that has not happened yet: would it be blocked, whichever process it is?

A sensor may stop an exec before it knows the file's name, content and parent only where none of them matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sensor.policy.drift_kinds import NAMED_TO_BLOCK
from sensor.policy.index import Rules
from sensor.policy.lookup_tables import AllowLists, mask_of
from sensor.policy.matchers import conditions_of
from sensor.policy.properties import PROCESS_PROPERTIES
from sensor.policy.vocabulary import DIGEST_PREFIX

Prospect = Literal["always", "depends", "never"]
"""`always`: every such process is blocked; `never`: none is; both are sure. `depends`: look at the process."""
OPEN: Final = frozenset(PROCESS_PROPERTIES) - {"drift_kind"}


class Blocks:
    """Which rules block, and which of them look at the process; in the rules' order, as masks."""

    __slots__ = ("_asking", "_blocking", "_lists", "_naming", "_positions", "_with_digest")

    def __init__(self, rules: Sequence[Mapping[str, Any]], lists: AllowLists) -> None:
        asked = [{condition["property"] for condition in conditions_of(rule)} for rule in rules]
        self._lists = lists
        self._blocking = mask_of(rule["action"] == "block" for rule in rules)
        self._asking = mask_of(bool(names & OPEN) for names in asked)
        self._naming = mask_of("drift_kind" in names for names in asked)
        self._with_digest = mask_of(_lists_digests(rule) for rule in rules)
        self._positions = {rule["id"]: position for position, rule in enumerate(rules)}

    def names(self, rule: str, kind: str) -> bool:
        """Whether a rule that decided drift of this kind may block it: it names the kind, or need not."""
        return kind not in NAMED_TO_BLOCK or bool(self._naming >> self._positions[rule] & 1)

    def prospect(self, candidates: Rules, kind: str) -> Prospect:
        """The prospect, where these are the rules whose scopes hold but for what they ask of the process."""
        effective = self._blocking & (self._naming if kind in NAMED_TO_BLOCK else ~0)
        listing = self._lists.having & (self._with_digest if kind == "fileless" else ~0)
        some_blocked = some_not = False
        while candidates:
            rule = candidates & -candidates
            candidates ^= rule
            decisive = bool(rule & self._lists.decisive)
            some_not |= bool(rule & listing) or (decisive and not rule & effective)
            some_blocked |= decisive and bool(rule & effective)
            if decisive and not rule & self._asking:
                break
        else:
            some_not = True  # the default rule's: it never blocks
        if not some_blocked:
            return "never"
        return "depends" if some_not else "always"


def _lists_digests(rule: Mapping[str, Any]) -> bool:
    return any(entry.startswith(DIGEST_PREFIX) for entry in rule["allow_list"])
