"""What is known since a noise budget's plan was made, and speaks against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drift.alerts.models import Alert, HashVerdict, ListedHash, Resolution
from sensor.policy import compile_policy
from sensor.policy.document_terms import DIGEST_PREFIX
from sensor.policy.flat_event import ALERT_ROWS


def contradiction(rules: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what was found to be an attack and is hidden by one of the rules; None where nothing is.

    Whenever it was found: the plan hid none that was known when it was made, and Undo gives an alert its old time back.
    It is the path of an alert, or the content of a list of known-bad files.
    """
    contents = {entry.removeprefix(DIGEST_PREFIX) for rule in rules for entry in rule["allow_list"]}
    policy = compile_policy({"schema": 1, "rules": list(rules), "default": {"action": "alert"}})
    attacks = Alert.objects.filter(verdict=Resolution.TRUE_POSITIVE, sample=False)
    found = attacks.order_by("pk").values_list("path", "binary__sha256", *ALERT_ROWS.columns)
    for path, sha256, *values in found.iterator(chunk_size=1_000):
        if sha256 in contents or policy.decide(ALERT_ROWS.facts(values)).action == "ignore":
            return str(path)
    bad = ListedHash.objects.filter(sha256__in=contents, hash_list__verdict=HashVerdict.BAD).order_by("sha256")
    listed: str | None = bad.values_list("sha256", flat=True).first()
    return listed
