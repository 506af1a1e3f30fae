"""A web process's memory is bounded in bytes, whatever senders send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drift.alerts.actions import event_keys, intern_rows
from drift.alerts.models import Binary, Workload
from tests.unit.drift.alerts.conftest import Estate, event

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]


def test_long_names_are_cached_under_short_keys(estate: Estate, post: Post) -> None:
    labels = {f"{n:04}": "x" * 250 for n in range(64)}

    answer = post(estate.client(), event(process__path="/" + "x" * 4_000, container__pod_labels=labels))

    assert answer.status_code == 200
    memories = (event_keys._cache, intern_rows._workload_ids, intern_rows._binary_ids, intern_rows._sighting_ids)
    sizes = [len(str(key)) for memory in memories for key in memory.today()]
    assert len(sizes) == len(memories)
    assert max(sizes) < 100


def test_objects_that_differ_in_one_field_have_different_keys(estate: Estate, post: Post) -> None:
    same = {"process__path": "/a"}
    post(estate.client(), event(**same), event(**same, kind="volume"), event(**same, container__name="b"))
    post(estate.client(), event(**same), event(**same, kind="volume"), event(**same, container__name="b"))

    assert (Binary.objects.count(), Workload.objects.count()) == (2, 2)
