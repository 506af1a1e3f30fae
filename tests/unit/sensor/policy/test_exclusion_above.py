"""What an entry of an allow list ignores, an exclusion above its rule ignores too, which may be narrower.

A noise budget proposes only such exclusions (docs/noise-budget.md#the-rules).
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sensor.policy import compile_policy
from tests.unit.sensor.policy.strategies import allow_entries, documents, events

Json = dict[str, Any]


def with_entry(document: Json, place: int, entry: str) -> Json:
    """Return the document with one more entry in the list of the rule at this place."""
    rules = list(document["rules"])
    rules[place] = {**rules[place], "allow_list": [*rules[place]["allow_list"], entry]}
    return {**document, "rules": rules}


def with_exclusion(document: Json, place: int, entry: str) -> Json:
    """Return the document with a rule directly above it that ignores the entry alone, in the same scopes."""
    rules = list(document["rules"])
    exclusion = {"id": "above", "name": "Above", "action": "ignore", "allow_list": [entry], "unlisted": "next_rule"}
    return {**document, "rules": [*rules[:place], {**rules[place], **exclusion}, *rules[place:]]}


@settings(max_examples=150, deadline=None)
@given(documents(), st.data(), st.lists(events(), min_size=1, max_size=5))
def test_an_exclusion_above_a_rule_does_what_an_entry_of_its_list_does(
    document: Json, data: st.DataObject, sample: list[Json]
) -> None:
    places = [
        place
        for place, rule in enumerate(document["rules"])
        # The first entry of a rule that leaves other processes to the rules below changes what those get.
        if rule["action"] != "ignore" and (rule["allow_list"] or rule["unlisted"] == "decide")
    ]
    assume(places)
    place, entry = data.draw(st.sampled_from(places)), data.draw(allow_entries)
    listed = compile_policy(with_entry(document, place, entry))
    excluded = compile_policy(with_exclusion(document, place, entry))
    for event in sample:
        assert excluded.decide(event).action == listed.decide(event).action
