from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensor.policy.cli import main
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Run = tuple[int, list[str], str]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command on the given bytes: exit status, lines of standard output after the file's name, standard error."""

    def run_it(command: str, policy: object, events: bytes = b"", *options: str) -> Run:
        (tmp_path / "policy.json").write_bytes(policy if isinstance(policy, bytes) else json.dumps(policy).encode())
        (tmp_path / "events.jsonl").write_bytes(events)
        files = [str(tmp_path / "policy.json")] + ([str(tmp_path / "events.jsonl")] if command == "evaluate" else [])
        status = main([command, *files, *options])
        out, err = capsys.readouterr()
        return status, [line.removeprefix(f"{tmp_path / 'policy.json'}:") for line in out.splitlines()], err

    return run_it


POLICY = document_of(minimal_rule(action="block"))


def test_check_of_a_valid_document_exits_0_without_output(run: Any) -> None:
    assert run("check", POLICY) == (0, [], "")


def test_check_prints_a_warning_for_a_value_that_never_matches_and_exits_0_or_with_strict_1(run: Any) -> None:
    scope = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "kube-*"}]}]
    document = document_of(minimal_rule(resource_scope=scope))
    line = (
        "1: Rule 1: resource_scope[0].any_of[0].value: warning: Only the operator Matches knows wildcards."
        " Did you mean Starts with “kube-”?"
    )
    assert run("check", document) == (0, [line], "")
    assert run("check", document, b"", "--strict") == (1, [line], "")
    assert run("check", POLICY, b"", "--strict") == (0, [], "")


def test_check_prints_one_line_per_error_and_exits_1(run: Any) -> None:
    status, lines, _ = run("check", document_of(minimal_rule(action="x", enabled=1)))
    assert status == 1
    assert lines == [
        "1: Rule 1: action: must be one of alert, block, ignore",
        "1: Rule 1: enabled: must be true or false",
    ]


@pytest.mark.parametrize("document", [[], None, 7, "x", True])
def test_check_of_a_value_that_is_not_an_object_is_one_clear_error(run: Any, document: object) -> None:
    assert run("check", document) == (1, ["1: document: must be an object"], "")


def test_an_error_stays_one_line_whatever_the_rule_s_name(run: Any) -> None:
    status, lines, _ = run("check", document_of(minimal_rule(name="a\nb\r\u2028\x1b", action="x", **{"\ud800": 1})))
    assert status == 1
    assert lines == [
        "1: a\\u000ab\\u000d\\u2028\\u001b: \\ud800: unknown key",
        "1: a\\u000ab\\u000d\\u2028\\u001b: action: must be one of alert, block, ignore",
    ]


@pytest.mark.parametrize(
    "policy",
    [b"", b"{", b"\xff", b'{"a": NaN}', b'{"schema": 1, "schema": 1}', b"[" * 100_000, b'\xef\xbb\xbf{"schema": 1}'],
)
@pytest.mark.parametrize("command", ["check", "evaluate"])
def test_an_unreadable_policy_exits_2_with_one_line_on_standard_error(run: Any, command: str, policy: bytes) -> None:
    status, lines, err = run(command, policy, b"{}")
    assert (status, lines, err.count("\n")) == (2, [], 1)


def test_a_missing_file_exits_2_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.json"
    assert main(["check", str(policy)]) == 2
    policy.write_text(json.dumps(POLICY))
    assert main(["evaluate", str(policy), str(tmp_path / "none.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 2)


def test_evaluate_with_an_invalid_policy_exits_2_and_prints_the_error(run: Any) -> None:
    assert run("evaluate", document_of(minimal_rule(action="x")), b"{}") == (
        2,
        [],
        "Rule 1: action: must be one of alert, block, ignore\n",
    )


def test_evaluate_prints_one_decision_per_line_in_order(run: Any) -> None:
    status, lines, _ = run("evaluate", POLICY, b'{"provider": "azure"}\n{}\r\n{"provider": "azure", "x": []}')
    assert status == 0
    assert [json.loads(line) for line in lines] == [
        {"action": "block", "rule": "r1", "reason": "scope"},
        {"action": "ignore", "rule": "default", "reason": "default"},
        {"action": "block", "rule": "r1", "reason": "scope"},
    ]


def test_explain_adds_the_trace(run: Any) -> None:
    _, lines, _ = run("evaluate", POLICY, b"{}", "--explain")
    failed = {"scope": "cloud_scope", "property": None}
    assert json.loads(lines[0])["trace"] == [{"rule": "r1", "failed": failed}, {"rule": "default", "failed": None}]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"not json", "not JSON"),
        (b"", "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"provider": NaN}', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5_000, "not JSON"),
        (b'{"pod_name": "\xff"}', "not UTF-8"),
        ('{"pod_name": "x"}'.encode("utf-16"), "not UTF-8"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'"text"', "must be an object"),
        (b'{"provider": 1}', "provider must be a string"),
        (b'{"account": 123456789012}', "account must be a string"),
        (b'{"namespace": false}', "namespace must be a string"),
        (b'{"process_path": ["/x"]}', "process_path must be a string"),
        (b'{"drift_kind": {}}', "drift_kind must be a string"),
        (b'{"pod_labels": "a=b"}', "pod_labels must be an object"),
        (b'{"pod_labels": ["a=b"]}', "pod_labels must be an object"),
        (b'{"pod_labels": {"a": 1}}', "pod_labels must contain only strings"),
        (b'{"pod_labels": {"a": null}}', "pod_labels must contain only strings"),
    ],
)
def test_a_bad_line_yields_an_error_in_its_place_and_the_rest_is_evaluated(run: Any, line: bytes, error: str) -> None:
    status, lines, err = run("evaluate", POLICY, b'{"provider": "azure"}\n' + line + b"\n{}\n")
    answers = [json.loads(text) for text in lines]
    assert (status, err, len(answers)) == (1, "", 3)
    assert answers[1].keys() == {"error"}
    assert error in answers[1]["error"]
    assert (answers[0]["rule"], answers[2]["rule"]) == ("r1", "default")


def test_half_a_surrogate_pair_in_an_event_is_not_an_error(run: Any) -> None:
    status, lines, _ = run("evaluate", POLICY, b'{"provider": "azure", "pod_name": "\\ud800"}')
    assert (status, json.loads(lines[0])["rule"]) == (0, "r1")


def test_without_events_there_is_no_output(run: Any) -> None:
    assert run("evaluate", POLICY, b"") == (0, [], "")


@pytest.mark.parametrize("arguments", [[], ["check"], ["evaluate", "a"], ["nonsense", "a"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(document_of(minimal_rule(id="ß"))), encoding="utf-8")
    (tmp_path / "events.jsonl").write_text('{"provider": "azure"}\n', encoding="utf-8")
    command = [sys.executable, "-m", "sensor.policy", "evaluate", str(policy), str(tmp_path / "events.jsonl")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"action": "alert", "rule": "ß", "reason": "scope"}
