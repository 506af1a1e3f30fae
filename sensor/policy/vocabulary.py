"""The words of a policy document and their limits (DESIGN §2): the one place that lists them."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = 1
DEFAULT_RULE: Final = "default"
"""What a decision names as its rule when no rule decided; so no rule may have this id."""

PROVIDERS: Final = ("azure", "aws", "gcp")
ACTIONS: Final = ("alert", "block", "ignore")
DEFAULT_ACTIONS: Final = ("alert", "ignore")
UNLISTED: Final = ("decide", "next_rule")

DIGEST_PREFIX: Final = "sha256:"

LIMITS: Final = {
    "rules": 1_000,
    "scope_values": 100,
    "allow_list": 100,
    "accounts": 10_000,
    "value": 256,
    "path": 4_096,
    "name": 128,
    # Not in DESIGN: without a bound one text could outgrow every bundle and page.
    "id": 128,
    "account": 256,
    "scope_description": 1_024,
    "note": 4_096,
    "detect": 100,
}
"""Most characters of a text, or most entries of a list; scope_values per rule, accounts per document."""
