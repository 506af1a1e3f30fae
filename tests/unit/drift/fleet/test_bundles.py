"""A signed version as a file: its exact bytes, verified with the public keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from drift.fleet.actions import bundles
from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from sensor.policy import digest
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PAGE, API = "/settings/policy/versions/{}/bundle.json", "/api/v1/policy/versions/{}/bundle/"


@pytest.fixture(autouse=True)
def _no_redis(queued: Any) -> None:
    """Nothing here reaches a broker."""


def opened(file: dict[str, str], keys: dict[str, str]) -> dict[str, Any]:
    """Return the payload. Raises InvalidSignature, KeyError."""
    payload = base64.b64decode(file["payload"])
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[file["key_id"]]))
    public.verify(base64.b64decode(file["signature"]), payload)
    found: dict[str, Any] = json.loads(payload)
    return found


def known_keys(client: Any) -> dict[str, str]:
    return {key["key_id"]: key["public_key"] for key in client.get("/api/v1/public-keys/").json()["results"]}


def test_a_downloaded_version_is_verified_with_the_portal_s_public_keys(
    admin: Any, reader: Any, client_of: Any, api_of: Any
) -> None:
    versions.save_document(admin, document("A"), 1, "")
    answer = client_of(reader).get(PAGE.format(2))
    assert answer["Content-Disposition"] == 'attachment; filename="drift-policy-v2.bundle.json"'
    payload = opened(answer.json(), known_keys(api_of(reader)))
    assert (payload["number"], payload["document"]["rules"][0]["name"]) == (2, "A")
    assert payload["digest"] == digest(payload["document"]) == PolicyVersion.objects.get(pk=2).digest


def test_page_and_api_return_the_bytes_that_sensors_fetch(reader: Any, client_of: Any, api_of: Any) -> None:
    stored = bundles.signed_bundle(1)
    page, program = client_of(reader).get(PAGE.format(1)), api_of(reader).get(API.format(1))
    assert page.content == program.content
    assert base64.b64decode(program.json()["payload"]) == bytes(stored.payload)
    assert base64.b64decode(program.json()["signature"]) == bytes(stored.signature)


def test_a_changed_payload_fails_verification(reader: Any, api_of: Any) -> None:
    client = api_of(reader)
    file = client.get(API.format(1)).json()
    changed = base64.b64decode(file["payload"]).replace(b'"alert"', b'"ignore"', 1)
    assert changed != base64.b64decode(file["payload"])
    with pytest.raises(InvalidSignature):
        opened({**file, "payload": base64.b64encode(changed).decode()}, known_keys(client))


def test_an_unknown_version_has_no_bundle(reader: Any, client_of: Any, api_of: Any) -> None:
    for number in (99, 99_999_999_999):
        assert client_of(reader).get(PAGE.format(number)).status_code == 404
        assert api_of(reader).get(API.format(number)).status_code == 404


def test_the_history_links_each_signed_version(reader: Any, client_of: Any) -> None:
    page = client_of(reader).get("/settings/policy/versions/").content.decode()
    assert f'href="{PAGE.format(1)}"' in page
