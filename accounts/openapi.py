"""API tokens in the OpenAPI schema."""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer dwp_…`."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = "personToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Return the scheme of an HTTP bearer token."""
        return {"type": "http", "scheme": "bearer", "description": "A token from the page *API tokens* (`dwp_…`)."}
