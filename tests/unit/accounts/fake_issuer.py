"""An OpenID Connect issuer that says what a test tells it to, without a network."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

ISSUER = "https://issuer.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FakeIssuer:
    """Stands in for `requests.Session`; `claims` and the other fields are what it answers."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {
            "sub": "subject-1",
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada",
            "groups": ["soc"],
        }
        self.token_claims: dict[str, Any] = {}
        self.signing_key: Any = KEY
        self.algorithm = "RS256"
        self.is_down = False
        self.configuration: dict[str, Any] = {}
        self.user_info: dict[str, Any] | None = None
        self.nonce = ""
        self.posted: dict[str, Any] = {}

    def __enter__(self) -> FakeIssuer:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def get(self, url: str, **options: Any) -> requests.Response:
        if self.is_down:
            raise requests.ConnectionError
        path = urlsplit(url or "").path
        if path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            return _response({"keys": [public | {"kid": "one", "alg": "RS256", "use": "sig"}]})
        if path == "/userinfo":
            return _response(self.claims if self.user_info is None else self.user_info)
        if not url:
            raise requests.exceptions.MissingSchema
        assert url == f"{ISSUER}/.well-known/openid-configuration"
        found = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token", "userinfo")}
        return _response({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks", **found} | self.configuration)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        if self.is_down:
            raise requests.ConnectionError
        if not url:
            raise requests.exceptions.MissingSchema
        assert (method, url) == ("POST", f"{ISSUER}/token")
        self.posted = options["data"]
        now = time.time()
        claims = {"iss": ISSUER, "aud": "portal", "iat": now, "exp": now + 60, "nonce": self.nonce, **self.claims}
        claims = {name: value for name, value in (claims | self.token_claims).items() if value is not None}
        key = self.signing_key
        token = jwt.encode(claims, key, self.algorithm, headers={"kid": "one"})
        return _response({"access_token": "access-secret", "token_type": "Bearer", "id_token": token})

    def begin(self, browser: Client, url: str = "/sign-in/issuer/") -> dict[str, str]:
        """Have the browser sent here; returns the parameters that it was sent with."""
        response = browser.get(url)
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(response["Location"]).query).items()}
        self.nonce = parameters["nonce"]
        return parameters

    def sign_in(self, browser: Client, url: str = "/sign-in/issuer/") -> Any:
        """Send the browser here and back; returns the response to the callback."""
        state = self.begin(browser, url)["state"]
        return browser.get("/sign-in/issuer/callback/", {"state": state, "code": "code-1"})


def _response(body: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.headers["content-type"] = "application/json"
    response._content = json.dumps(body).encode()
    return response
