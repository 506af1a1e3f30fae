"""The API keeps to its OpenAPI schema: generated requests, valid and invalid, as each kind of caller.

`DRIFTWATCH_LONG=1` (`make long`) tries many more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks

from portal.wsgi import application

pytestmark = [pytest.mark.services, pytest.mark.django_db]
LONG = bool(os.environ.get("DRIFTWATCH_LONG"))
EXAMPLES = 200 if LONG else 2
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
)
# What no request generated from the schema alone can get right: the state that it depends on (409, 428), rules between
# fields (422), what a query looks for (404), and a limit of use (429).
ACCEPTED = ["2xx", "304", "401", "403", "404", "409", "422", "428", "429"]


@pytest.fixture(scope="session")
def api() -> Any:
    config = schemathesis.Config.from_dict(
        {
            "generation": {"allow-x00": False},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "negative_data_rejection": {
                    "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "415", "422", "428", "429"]
                },
            },
        }
    )
    schema = yaml.safe_load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text())
    found = schemathesis.openapi.from_dict(schema, config=config)
    found.app = application
    return found


@pytest.fixture(autouse=True)
def _keep_connection(queued: list[Any]) -> Iterator[None]:
    """Keep the test's transaction from one request to the next, as Django's test client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def _operations(api: Any) -> Iterator[Any]:
    for result in api.get_all_operations():
        yield result.ok()


def _breaks_rule_in_words(response: Any) -> bool:
    """Return whether the request broke a rule that its schema has not: on cursors, keys, hidden characters, fields."""
    body = response.json() if response.status_code == 400 else {}
    return (
        body.get("code") == "hidden_character"
        or body.get("message") in {"Invalid cursor.", "The keys must be alert numbers."}
        or body.get("field", "").endswith("non_field_errors")
    )


@pytest.fixture
def authorization(request: pytest.FixtureRequest, owner: Any, api_of: Callable[..., Any]) -> dict[str, str]:
    if request.param == "nobody":
        return {}
    return {"Authorization": api_of(owner).defaults["HTTP_AUTHORIZATION"]}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=[mode.value for mode in GenerationMode])
@pytest.mark.parametrize("authorization", ["person"], indirect=True)
def test_generated_requests_keep_to_the_schema(api: Any, authorization: dict[str, str], mode: GenerationMode) -> None:
    failures: dict[str, str] = {}
    for operation in _operations(api):

        @hypothesis(
            max_examples=EXAMPLES,
            derandomize=not LONG,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            response = case.call(headers=authorization)
            skipped = [checks.positive_data_acceptance] if _breaks_rule_in_words(response) else []
            case.validate_response(response, checks=list(CHECKS), excluded_checks=skipped)

        try:
            one()
        except (Failure, FailureGroup) as error:  # collected, so that one run shows all
            failures[operation.label] = str(error)
    assert not failures, "\n\n".join(f"{label}: {text}" for label, text in failures.items())
