"""The terms of a policy document and their limits; its properties and kinds of drift have modules of their own."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = 1
DEFAULT_RULE: Final = "default"
"""The `rule` of a decision by the default rule, so no rule may have this id."""

PROVIDERS: Final = ("azure", "aws", "gcp")
ACTIONS: Final = ("alert", "block", "ignore")
SEVERITIES: Final = ("high", "medium", "low", "informational")
"""Of a rule's alerts, the worst, which is the default, first. Only the portal reads it: sensors do not decide by it."""
DEFAULT_SEVERITY: Final = SEVERITIES[0]
UNLISTED: Final = ("decide", "next_rule")

DIGEST_PREFIX: Final = "sha256:"
GLOB_PREFIX: Final = "glob:"
"""Of a pattern in an allow list, before its `/`: without that it is a file name."""

LIMITS: Final = {
    "rules": 1_000,
    "scope_values": 100,
    "allow_list": 100,
    "accounts": 10_000,
    "value": 256,
    "path": 4_096,
    "name": 128,
    # Nobody needs that much, but without a bound one string could outgrow every bundle and page.
    "id": 128,
    "account": 256,
    "scope_description": 1_024,
    "note": 4_096,
    "detect": 100,
}
"""Maximum characters of a string, or entries of a list; scope_values per rule, accounts per document."""
