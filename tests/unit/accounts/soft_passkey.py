"""A passkey in software, which signs what no browser would: for another origin, or with a count that stands still."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

FLAG = AuthenticatorData.FLAG
HOST = "localhost"


@dataclass
class SoftPasskey:
    """One key pair; `count` is how often it says that it has signed."""

    origin: str = f"http://{HOST}"
    rp_id: str = HOST
    count: int = 1
    flags: FLAG = FLAG.UP | FLAG.UV
    user_handle: str = ""
    """Who it belongs to, as the portal said when it was added."""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def added(self, challenge: str) -> str:
        """Return the JSON that a browser sends when the passkey is added."""
        public = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        attested = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        data = AuthenticatorData.create(sha256(self.rp_id.encode()), self.flags | FLAG.AT, self.count, attested)
        attestation = AttestationObject.create("none", data, {})
        response = {"attestationObject": websafe_encode(attestation)}
        return self._json(challenge, "webauthn.create", response)

    def signed(self, challenge: str) -> str:
        """Return the JSON that a browser sends when the passkey is used."""
        data = AuthenticatorData.create(sha256(self.rp_id.encode()), self.flags, self.count)
        client_data = self._client_data(challenge, "webauthn.get")
        response = {
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(self.key.sign(data + sha256(client_data), ec.ECDSA(hashes.SHA256()))),
            "userHandle": self.user_handle,
        }
        return self._json(challenge, "webauthn.get", response)

    def add_to(self, browser: Client, *, passwordless: bool = True) -> Any:
        """Add the passkey to the user of the browser, to sign in alone or as a second factor; returns the response."""
        options = json.loads(browser.get("/second-factor/passkeys/add/").context["options"])["publicKey"]
        self.user_handle = options["user"]["id"]
        form = {"name": "A key", "credential": self.added(options["challenge"])}
        return browser.post("/second-factor/passkeys/add/", form | ({"passwordless": "on"} if passwordless else {}))

    def sign_in(self, browser: Client) -> Any:
        """Sign in with the passkey alone; returns the response."""
        options = browser.get("/sign-in/passkey/", headers={"Accept": "application/json"}).json()["request_options"]
        return browser.post("/sign-in/passkey/", {"credential": self.signed(options["publicKey"]["challenge"])})

    def _client_data(self, challenge: str, kind: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _json(self, challenge: str, kind: str, response: dict[str, str]) -> str:
        number = websafe_encode(self.credential_id)
        data = {"clientDataJSON": websafe_encode(self._client_data(challenge, kind)), **response}
        return json.dumps(
            {
                "id": number,
                "rawId": number,
                "type": "public-key",
                "response": data,
                "clientExtensionResults": {"credProps": {"rk": True}},
            }
        )
