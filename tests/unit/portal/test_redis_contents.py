"""What somebody who reads Redis gets: docs/security.md#redis-or-valkey-is-read-or-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from django.conf import settings
from django.test import Client

from accounts.actions.links import create_link
from accounts.models import User
from drift import queue
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, code_of, sign_in
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def _everything() -> str:
    """All keys of Redis with their values."""
    redis = cast("Any", queue.redis_client())
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }
    return "\n".join(f"{key!r} {read[redis.type(key)](key)!r}" for key in redis.scan_iter())


def test_nothing_in_redis_signs_anybody_in(reader: User, owner: User, api_of: Callable[..., Client]) -> None:
    secrets = {"key": settings.SECRET_KEY, "password": PASSWORD, "wrong password": "wrong tidal lantern"}
    secrets["app"] = add_app(owner)
    browser, _ = sign_in(owner)
    assert browser.post("/sign-in/second-factor/", {"code": code_of(secrets["app"])}).status_code == 302
    secrets["session"] = browser.cookies["sessionid"].value
    Client().post("/sign-in/", {"username": reader.email, "password": secrets["wrong password"]})
    Client().post("/password/forgotten/", {"email": reader.email})
    api = api_of(reader)
    secrets["token"] = api.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    assert api.get("/api/v1/alerts/").status_code == 200
    secrets["invitation"] = create_link(owner, reader)
    _, secrets["credential"] = estate.sensor(estate.cluster())
    node = estate.as_sensor(secrets["credential"])
    secrets["ticket"] = node.post(estate.TICKET, content_type="application/json").json()["ticket"]
    beat = node.post(estate.HEARTBEAT, json.dumps(estate.beat()), content_type="application/json")
    assert beat.status_code == 200

    found = _everything()
    assert "limit:" in found
    for name, secret in secrets.items():
        parts = {secret, secret.rpartition("_")[2] or secret, secret.rpartition("/")[2] or secret}
        assert not [part for part in parts if len(part) > 8 and part in found], name
