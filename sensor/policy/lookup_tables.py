"""Cloud scopes and allow lists of all rules, each looked up at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sensor.policy.decisions import Event
from sensor.policy.index import Rules
from sensor.policy.vocabulary import DIGEST_PREFIX, PROVIDERS


class Clouds:
    """The rules whose cloud scope holds, by provider and account."""

    __slots__ = ("_accounts", "_whole")

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self._whole: dict[str, Rules] = dict.fromkeys(PROVIDERS, 0)
        self._accounts: dict[tuple[str, str], Rules] = {}
        for position, rule in enumerate(rules):
            for entry in rule["cloud_scope"]:
                self._add(entry, 1 << position)

    def _add(self, entry: Mapping[str, Any], rule: Rules) -> None:
        provider = entry["provider"]
        if "accounts" not in entry:
            self._whole[provider] |= rule
        for account in entry.get("accounts", ()):
            self._accounts[provider, account] = self._accounts.get((provider, account), 0) | rule

    def within(self, provider: Any, account: Any) -> Rules:
        return self._whole.get(provider, 0) | self._accounts.get((provider, account), 0)


class AllowLists:
    """The rules whose allow list names a process, by its content, its path or its file name."""

    __slots__ = ("_hashes", "_names", "_paths", "decisive", "having")

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """`having` are the rules with a list, `decisive` those that do not pass on what is not on theirs."""
        self.having = mask_of(bool(rule["allow_list"]) for rule in rules)
        self.decisive = mask_of(not rule["allow_list"] or rule["unlisted"] == "decide" for rule in rules)
        self._hashes: dict[str, Rules] = {}
        self._paths: dict[str, Rules] = {}
        self._names: dict[str, Rules] = {}
        for position, rule in enumerate(rules):
            for entry in rule["allow_list"]:
                table, key = self._place(entry)
                table[key] = table.get(key, 0) | 1 << position

    def _place(self, entry: str) -> tuple[dict[str, Rules], str]:
        if entry.startswith(DIGEST_PREFIX):
            return self._hashes, entry.removeprefix(DIGEST_PREFIX)
        return (self._paths if entry.startswith("/") else self._names), entry

    def listing(self, event: Event) -> Rules:
        """The rules with the event's process on their list; of a fileless one only the content counts."""
        by_content = self._hashes.get(event.get("process_sha256"), 0)
        if event.get("drift_kind") == "fileless":
            return by_content
        path = event.get("process_path")
        if path is None:
            return by_content | self._names.get(event.get("process_name"), 0)
        return by_content | self._paths.get(path, 0) | self._names.get(path.rpartition("/")[2], 0)


def mask_of(flags: Iterable[bool]) -> Rules:
    """The rules whose flag is set; flags in the rules' order."""
    mask = 0
    for position, flag in enumerate(flags):
        mask |= flag << position
    return mask
