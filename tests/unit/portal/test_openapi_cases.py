"""The API keeps to its OpenAPI schema: generated requests, valid and invalid, of each kind of caller.

`DRIFTWATCH_LONG=1` (`make long`) sends 200 of each mode to every operation, each operation a test of its own.
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import pytest
import schemathesis
import yaml
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from drift.fleet.actions.bundles import _cached_bundle
from portal.wsgi import application
from tests.results import Figure
from tests.unit.drift.alerts.conftest import _fresh_memories  # noqa: F401 - a fixture
from tests.unit.portal.access_requests import undone
from tests.unit.portal.openapi_callers import Callers, Operation, fit, sample_url

pytestmark = [pytest.mark.services, pytest.mark.django_db]
LONG: Final = bool(os.environ.get("DRIFTWATCH_LONG"))
EXAMPLES: Final = 200 if LONG else 1
CALLERS: Final = 1 if LONG else 3
"""Callers of each example beside the one who may do everything; they take turns."""
SECONDS: Final = 240
"""The longest that one operation is sent generated requests of one mode; what was sent until then is printed."""
SCHEMA: Final = yaml.safe_load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text())
ALL: Final = "all"
NAMES: Final = [each["operationId"] for of_path in SCHEMA["paths"].values() for each in of_path.values()]
SHAPE: Final = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
]
WORDS: Final = "values with|accounts in all|already has|must not be probe in a rule that ignores"
"""What a policy document is refused for though it follows its schema."""
REJECTED: Final = ["400", "404", "405", "409", "413", "415", "422", "428"]


@pytest.fixture(scope="session")
def api() -> Any:
    schema = copy.deepcopy(SCHEMA)
    # The callers of this test have credentials, which are not generated.
    schema["components"].pop("securitySchemes")
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    config = {"checks": {"negative_data_rejection": {"expected-statuses": REJECTED}}}
    found = schemathesis.openapi.from_dict(schema, config=schemathesis.Config.from_dict(config))
    found.app = application
    return found


@pytest.fixture(autouse=True)
def _keep_connection(queued: list[Any]) -> Iterator[None]:
    """Keep the test's transaction from one request to the next, as Django's test client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    logging.disable()
    _cached_bundle.cache_clear()  # signed with a key of an earlier test's database
    yield
    logging.disable(logging.NOTSET)
    for signal in signals:
        signal.connect(close_old_connections)


def _is_negative(case: Any, part: ParameterLocation) -> bool:
    component = case.meta.components.get(part)
    return component is not None and component.mode is GenerationMode.NEGATIVE


def _breaks_rule_in_words(case: Any, body: dict[str, Any]) -> bool:
    """Return whether a valid request breaks what no schema states: totals of a policy, NUL, a query line, a setting."""
    if body.get("code") in {"default_may_not_block", "detects_nothing"}:
        return True
    if body.get("code") in {"invalid_query", "hidden_character"} and "query" in (case.query or {}):
        return True
    if body.get("code") == "policy_invalid":
        return all(re.search(WORDS, each["message"]) for each in body["faults"])
    if body.get("code") == "nul":
        return "\\u0000" in json.dumps(case.body)
    return body.get("code") == "hidden_character" and any(each > "\uffff" for each in str(case.body))


def _check(callers: Callers, name: str, operation: Operation, case: Any) -> int:
    """Send a generated request as this caller; return the response's status. Raises Failure, AssertionError."""
    with undone():
        fit(callers, name, operation, case, may_change=lambda part: not _is_negative(case, ParameterLocation(part)))
        response = case.call(headers=callers.headers(name))
    status: int = response.status_code
    case.validate_response(response, checks=SHAPE)
    refusal = callers.expected(name, operation)
    if refusal is not None:
        # A path that no URL has is not found, whoever asks.
        is_lost = status == 404 and _is_negative(case, ParameterLocation.PATH)
        assert status == refusal or is_lost, f"{name}: {status}, not {refusal}"
        return status
    what = f"{name}: {status} {response.text[:300]}"
    if status in {401, 403, 429}:
        pytest.fail(f"refused one who may: {what}\n{case.as_curl_command()[:1500]}")
    if case.meta.generation.mode is GenerationMode.NEGATIVE:
        case.validate_response(response, checks=[checks.negative_data_rejection])
    elif status >= 400 and not _breaks_rule_in_words(case, response.json()):
        pytest.fail(f"refused a valid request: {what}\n{case.as_curl_command()[:1500]}")
    return status


# Each test plants an estate, so CI has one for all operations; `make long` shares them among its workers.
@pytest.mark.timeout(2 * SECONDS + 300)
@pytest.mark.parametrize("name", NAMES if LONG else [ALL])
@pytest.mark.parametrize("mode", list(GenerationMode), ids=[mode.value for mode in GenerationMode])
def test_generated_requests_of_every_caller_keep_to_the_schema(
    api: Any, figure: Figure, mode: GenerationMode, name: str
) -> None:
    callers, failures, statuses = Callers(), Counter[str](), Counter[str]()
    turns = itertools.cycle(callers.names)

    def send(operation: Operation, case: Any) -> None:
        for caller in (callers.full_caller(operation), *itertools.islice(turns, CALLERS)):
            try:
                statuses[f"{operation.name} {_check(callers, caller, operation, case) // 100}xx"] += 1
            except (Failure, FailureGroup, AssertionError, pytest.fail.Exception) as error:
                # Counted, so that one run shows all, and whoever's turn it is.
                failures[f"{operation.method} {operation.path}: {error}"] += 1

    for result in api.get_all_operations():
        generated = result.ok()
        operation = Operation.read(generated)
        if name not in {ALL, operation.name}:
            continue
        began = time.monotonic()
        examples = _generate(generated.as_strategy(generation_mode=mode), partial(send, operation))
        if LONG and time.monotonic() - began > SECONDS:
            figure(f"{mode.value} requests to {name} in {SECONDS} s", str(examples), goal=str(EXAMPLES), kept=False)
        if mode is GenerationMode.POSITIVE and not statuses[f"{operation.name} 2xx"]:
            failures[f"{operation.method} {operation.path}: no valid request was accepted"] += 1
    print(f"{sum(statuses.values()):,} {mode.value} requests of {len(callers.names)} callers, {len(failures)} failed")
    assert not failures, "\n\n".join(f"{count} times {text}" for text, count in failures.most_common(40))


class TimeOverError(Exception):
    """An operation has been sent requests for SECONDS."""


def _generate(cases: Any, send: Callable[[Any], None]) -> int:
    """Pass EXAMPLES generated requests to `send`, or those of SECONDS; return how many."""
    sent, end = 0, time.monotonic() + SECONDS

    @hypothesis(
        max_examples=EXAMPLES,
        derandomize=not LONG,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def each(case: Any) -> None:
        nonlocal sent
        if time.monotonic() > end:
            raise TimeOverError
        send(case)
        sent += 1

    # An operation without parameters and body cannot be called wrongly.
    with suppress(Unsatisfiable, TimeOverError):
        each()
    return sent


def test_every_caller_of_a_method_that_is_not_documented_gets_405_with_those_that_are(api: Any) -> None:
    callers, count = Callers(), 0
    turns = itertools.cycle(callers.names)
    for path, operations in api.raw_schema["paths"].items():
        documented = {method.upper() for method in operations}
        for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - documented):
            operation = Operation.at(path, method)
            for name in itertools.islice(turns, CALLERS):
                client, count = Client(headers=callers.headers(name)), count + 1
                response = client.generic(method, sample_url(path), b"{}", "application/json")
                # Who may not change anything there does not learn how one could.
                assert response.status_code == (callers.expected(name, operation) or 405), (name, method, path)
                if response.status_code == 405:
                    allowed = set(response["Allow"].split(", "))
                    assert allowed - {"HEAD", "OPTIONS"} == documented, (name, method, path)
    assert count > 170 * CALLERS
