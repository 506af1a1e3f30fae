"""Settings of Django REST framework and of drf-spectacular, which `portal.settings` passes on."""

from __future__ import annotations

from typing import Any

from sensor import __version__

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    # The permission table (portal.access) decides for pages and API alike.
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "portal.openapi.Schema",
    "EXCEPTION_HANDLER": "portal.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Driftwatch",
    "DESCRIPTION": "Binary drift: policy, delivery and alerts. Sensors and users authenticate with a bearer token.",
    "VERSION": __version__,  # without the commit: docs/openapi.yaml would change with each
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.openapi.add_common_responses",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ProposalState": "drift.policy.models.ProposalState",
        "HealthState": "drift.health.domain.outcomes.STATES",
    },
}
