"""Documents and events over small alphabets, so that rules often match events."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sensor.policy import KINDS, PROCESS_PROPERTIES, PROVIDERS, RESOURCE_PROPERTIES
from sensor.policy.properties import BY_NAME, TABLE

Json = dict[str, Any]
# Letters that casefold to several letters, to each other, or out of ASCII.
LETTERS = "aAbßẞσςΣİiK"
SHA256S = ("0" * 64, "ab" * 32)
DEFAULTS: list[Json] = [
    {"action": "alert"},
    {"action": "ignore"},
    {"action": "block"},
    {"action": "block", "dry_run": True},
]

words = st.text(LETTERS, min_size=1, max_size=3)
names = st.text("ab", min_size=1, max_size=3)
paths = st.builds("".join, st.lists(st.sampled_from(["/", "a", "b", "ab"]), min_size=1, max_size=5)).map("/{}".format)
labels = st.dictionaries(st.text("aA=", max_size=2), st.text("bB=", max_size=2), max_size=3)
label_values = st.builds("{}={}".format, st.text("aA=", max_size=2), st.text("bB=", max_size=2))
hosts = st.sampled_from(
    [
        "",
        "docker.io/library/",
        "docker.io/",
        "Docker.IO/Library/",
        "index.docker.io/",
        "registry-1.docker.io/library/",
        "docker.io.a/",
        "a.b/index.docker.io/",
        "localhost/",
        "localhost:443/",
        "a.b:443/",
        "localhost:5000/",
        "a.b/",
        "a/",
    ]
)
repositories = st.sampled_from(["a", "b", "a/b", "a/a", "A/B", "a.b/a", "library/a"])
tags = st.sampled_from(["", ":1", ":a", ":1:2", ":", ":latest"])
digests = st.sampled_from(["", "@sha256:ab", "@sha256:cd", "@ab", "@"])
images = st.builds("{}{}{}{}".format, hosts, repositories, tags, digests)


@st.composite
def image_values(draw: st.DrawFn) -> str:
    """Part of an image reference, so that every operator finds something."""
    image = draw(images)
    start = draw(st.integers(0, len(image) - 1))
    return image[start : draw(st.integers(start + 1, len(image)))] if draw(st.booleans()) else image


def value_texts(name: str) -> st.SearchStrategy[str]:
    """Strings that a rule may compare the property with."""
    if name == "process_sha256":
        return st.sampled_from(SHA256S)
    if name == "drift_kind":
        return st.sampled_from(KINDS)
    if BY_NAME[name].values:
        # A rule that ignores must not name it.
        return st.sampled_from([each for each in BY_NAME[name].values if each != "probe"])
    if BY_NAME[name].form == "image":
        return image_values()
    if name == "process_path":
        return paths | names
    return words if name in RESOURCE_PROPERTIES else names


@st.composite
def values(draw: st.DrawFn, name: str) -> Json:
    operator = draw(st.sampled_from(BY_NAME[name].operators))
    if name == "pod_labels":
        text = draw(label_values if operator == "equals" else label_values | st.sampled_from(["a", "B", "b"]))
    else:
        text = draw(value_texts(name))
    return {"operator": operator, "value": draw(patterns(text)) if operator == "matches" else text}


@st.composite
def patterns(draw: st.DrawFn, text: str) -> str:
    """Put wildcards in place of some of its letters, or between them."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.sampled_from("*?*")) + text[draw(st.integers(start, min(len(text), start + 2))) :]
    return text


@st.composite
def conditions(draw: st.DrawFn, names: tuple[str, ...]) -> Json:
    name = draw(st.sampled_from(names))
    return {"property": name, "any_of": draw(st.lists(values(name), min_size=1, max_size=3))}


providers = st.sampled_from([*PROVIDERS[:1] * 4, *PROVIDERS[1:2]])


@st.composite
def cloud_entries(draw: st.DrawFn) -> Json:
    entry: Json = {"provider": draw(providers)}
    if draw(st.sampled_from([True, False, False])):
        entry["accounts"] = draw(st.lists(st.sampled_from(["1", "2", "A"]), min_size=1, max_size=2))
    return entry


path_patterns = paths.flatmap(lambda path: patterns(path[1:])).map("glob:/{}".format)
allow_entries = st.sampled_from("ab") | paths | path_patterns | st.sampled_from([f"sha256:{sha}" for sha in SHA256S])


@st.composite
def rules(draw: st.DrawFn, index: int) -> Json:
    return {
        "id": f"r{index}",
        "name": f"Rule {index}",
        "action": draw(st.sampled_from(["alert", "block", "ignore"])),
        "scope_description": "some",
        "cloud_scope": draw(st.lists(cloud_entries(), min_size=1, max_size=2)),
        "resource_scope": draw(st.lists(conditions(RESOURCE_PROPERTIES), max_size=2)),
        "allow_list": draw(st.lists(allow_entries, max_size=4)),
        "enabled": draw(st.sampled_from([True] * 7 + [False])),
        "unlisted": draw(st.sampled_from(["decide", "next_rule"])),
        "process_scope": draw(st.lists(conditions(PROCESS_PROPERTIES), max_size=1)),
        "expires_at": draw(st.sampled_from([None, "2020-01-01T00:00:00Z"])),
        "note": "",
    }


@st.composite
def documents(draw: st.DrawFn, max_rules: int = 6) -> Json:
    """A valid, normalised document."""
    count = draw(st.integers(0, max_rules))
    return {
        "schema": 1,
        "detect": ["new_file"],
        "rules": [draw(rules(index)) for index in range(count)],
        "default": draw(st.sampled_from(DEFAULTS)),
    }


folded_texts = st.text(LETTERS, max_size=4)
event_properties: dict[str, st.SearchStrategy[Any]] = {
    # A property that is not named below holds some string.
    **{each.name: folded_texts if each.folds_case else names for each in TABLE},
    **{each.name: st.sampled_from(each.values) for each in TABLE if each.values},
    "provider": providers,
    "account": st.sampled_from(["1", "2", "a"]),
    "cluster_name": folded_texts,
    "namespace": folded_texts,
    "pod_name": folded_texts,
    "pod_labels": labels,
    "container_name": folded_texts,
    "image_name": images,
    "process_name": names,
    "process_path": paths | st.just(""),
    "process_sha256": st.sampled_from(SHA256S),
    "parent_process": names,
    "drift_kind": st.sampled_from(("fileless", *KINDS)),
}


@st.composite
def events(draw: st.DrawFn) -> Json:
    """An event; each property is present, null, or missing."""
    event: Json = {"provider": draw(event_properties["provider"]), "something_else": 1}
    for name, strategy in event_properties.items():
        state = draw(st.sampled_from(["there"] * 8 + ["null", "missing"]))
        if state == "there":
            event[name] = draw(strategy)
        elif state == "null":
            event[name] = None
    return event
