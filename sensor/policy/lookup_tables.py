"""Cloud scopes and allow lists of all rules, each looked up at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sensor.policy.decisions import FlatEvent
from sensor.policy.document_terms import DIGEST_PREFIX, GLOB_PREFIX, PROVIDERS
from sensor.policy.globs import GlobTable
from sensor.policy.string_tables import RuleSet

EntryKind = Literal["digest", "path", "glob", "name"]


class CloudScopeTable:
    """Finds the rules whose cloud scope matches a provider and account."""

    __slots__ = ("_accounts", "_providers")

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self._providers: dict[str, RuleSet] = dict.fromkeys(PROVIDERS, 0)
        self._accounts: dict[tuple[str, str], RuleSet] = {}
        for position, rule in enumerate(rules):
            for entry in rule["cloud_scope"]:
                self._add(entry, 1 << position)

    def _add(self, entry: Mapping[str, Any], rule: RuleSet) -> None:
        provider = entry["provider"]
        if "accounts" not in entry:
            self._providers[provider] |= rule
        for account in entry.get("accounts", ()):
            self._accounts[provider, account] = self._accounts.get((provider, account), 0) | rule

    def matching(self, provider: Any, account: Any) -> RuleSet:
        """Return the rules whose cloud scope has the account, by itself or with its whole provider."""
        return self._providers.get(provider, 0) | self._accounts.get((provider, account), 0)


class AllowListTable:
    """Finds the rules whose allow list has a process, by its content, its path, a pattern of it or its file name."""

    __slots__ = ("_globs", "_hashes", "_names", "_paths", "decisive", "having")

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """`having` are the rules with a list, `decisive` those that decide about unlisted processes too."""
        self.having = rule_mask(bool(rule["allow_list"]) for rule in rules)
        self.decisive = rule_mask(not rule["allow_list"] or rule["unlisted"] == "decide" for rule in rules)
        self._hashes: dict[str, RuleSet] = {}
        self._paths: dict[str, RuleSet] = {}
        self._names: dict[str, RuleSet] = {}
        globs: dict[str, RuleSet] = {}
        for position, rule in enumerate(rules):
            for entry in rule["allow_list"]:
                kind, key = entry_kind(entry)
                table = {"digest": self._hashes, "path": self._paths, "glob": globs, "name": self._names}[kind]
                table[key] = table.get(key, 0) | 1 << position
        self._globs = GlobTable(globs) if globs else None

    def listing(self, event: FlatEvent) -> RuleSet:
        """Return the rules that list the event's process (docs/policy-semantics.md#allow-lists)."""
        by_content = self._hashes.get(event.get("process_sha256"), 0)
        if event.get("drift_kind") == "fileless":
            # Whoever creates a memfd chooses its name and path, so only its content counts.
            return by_content
        path = event.get("process_path")
        if path is None:
            return by_content | self._names.get(event.get("process_name"), 0)
        found = by_content | self._paths.get(path, 0) | self._names.get(path.rpartition("/")[2], 0)
        return found | self._globs.matching(path) if self._globs is not None else found


def entry_kind(entry: str) -> tuple[EntryKind, str]:
    """Return what an allow-list entry is compared with, and the string that is compared."""
    if entry.startswith(DIGEST_PREFIX):
        return "digest", entry.removeprefix(DIGEST_PREFIX)
    if entry.startswith(f"{GLOB_PREFIX}/"):
        return "glob", entry.removeprefix(GLOB_PREFIX)
    return ("path" if entry.startswith("/") else "name"), entry


def rule_mask(flags: Iterable[bool]) -> RuleSet:
    """Return the set of rules whose flag is set; the flags are in the rules' order."""
    mask = 0
    for position, flag in enumerate(flags):
        mask |= flag << position
    return mask
