"""The flat event of a wire event's JSON, read key by key as docs/policy-semantics.md#properties has them.

It shares no code with `sensor.policy`, so that the two are held together by the tests; a property that is missing here
fails every test that reads flat events by it.
"""

from __future__ import annotations

from typing import Any

from sensor.policy.properties import BY_NAME

Json = dict[str, Any]


def flat(event: Json, provider: str, account: str, cluster_name: str) -> Json:
    """Return the properties that the evaluator reads; None for those that the event does not have."""
    container, process = event["container"], event["process"]
    parent = process.get("parent") or {}
    image, digest = container.get("image_name"), container.get("image_digest")
    origin = process.get("file_origin") or {}
    file_image, file_digest = origin.get("image_name"), origin.get("image_digest")
    facts = {
        "provider": provider,
        "account": account,
        "cluster_name": cluster_name,
        "namespace": container.get("namespace"),
        "pod_name": container.get("pod_name"),
        "pod_labels": container.get("pod_labels") or None,
        "container_name": container.get("name"),
        "image_name": image + "@" + digest if image and digest else image,
        "process_name": process["name"],
        "process_path": process["path"],
        "process_sha256": process.get("sha256"),
        "parent_process": parent.get("name"),
        "drift_kind": event["kind"],
        **{
            name: (process.get("provenance") or {}).get(name)
            for name in (
                *("session", "written_by", "written_by_name", "writer_origin", "written_by_parent"),
                "written_in_session",
            )
        },
        "file_image": file_image + "@" + file_digest if file_image and file_digest else file_image,
    }
    assert facts.keys() == BY_NAME.keys(), "a property is not read here"
    return facts
