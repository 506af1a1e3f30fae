"""Errors and warnings name the line of the file, in JSON and in YAML alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sensor.policy.cli import main
from sensor.policy.document_text import document_lines, parse_document
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

WRONG_YAML = """\
# a comment counts as a line
schema: 1
detect: [new_file]
rules:
  - id: r1
    name: One
    enabled: true
    cloud_scope: []
    resource_scope: []
    process_scope: []
    action: allow
  - id: r2
    name: "Two"
    enabled: maybe
    action: alert
default:
  action: never
"""


def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str) -> tuple[int, list[str], str]:
    """Check a file; return status, lines without the directory, and standard error."""
    (tmp_path / name).write_text(text)
    status = main(["check", str(tmp_path / name)])
    out, err = capsys.readouterr()
    return status, out.replace(f"{tmp_path}/", "").splitlines(), err


def test_a_yaml_document_gets_the_messages_of_json_with_the_line_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines, err = check(tmp_path, capsys, "policy.yaml", WRONG_YAML)
    assert (status, err) == (1, "")
    _, as_json, _ = check(tmp_path, capsys, "policy.json", json.dumps(parse_document(WRONG_YAML.encode(), "yaml")))

    def messages(found: list[str]) -> list[str]:
        return [line.split(":", 2)[2] for line in found]

    assert messages(lines) == messages(as_json)
    assert "policy.yaml:11: One: action: must be one of alert, block, ignore; did you mean ignore?" in lines
    assert "policy.yaml:14: Two: enabled: must be true or false" in lines
    assert any(line.startswith("policy.yaml:17: default: action: must be one of ") for line in lines)


def test_what_is_missing_is_reported_where_it_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(minimal_rule(), minimal_rule(id="r2", name="Two"))
    del document["rules"][1]["action"]
    _, (line,), _ = check(tmp_path, capsys, "policy.yml", yaml.safe_dump(document, sort_keys=False))
    second = yaml.safe_dump(document, sort_keys=False).splitlines().index("  name: Two")
    number, _, text = line.removeprefix("policy.yml:").partition(":")
    assert text == " Two: action: is required"
    assert second - 2 <= int(number) <= second + 1


def test_a_document_on_standard_input_is_json_if_it_begins_with_a_brace_and_else_yaml() -> None:
    for text in (json.dumps(document_of(minimal_rule())), yaml.safe_dump(document_of(minimal_rule()))):
        command = [sys.executable, "-m", "sensor.policy", "check", "/dev/stdin"]
        root = Path(__file__).parents[4]
        done = subprocess.run(command, cwd=root, input=text, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x 1\nb: *x\n", "anchors and aliases are not allowed"),
        ("a: !!python/object:os.system x\n", "the tag tag:yaml.org,2002:python/object:os.system is not allowed"),
        ("a: 1\na: 2\n", "line 2"),
        ("rules:\n  - [1\n", "line 3"),
        ("a: 1\n---\nb: 2\n", "only one document"),
        ("\t- x\n", "line 1"),
        ("- " * 40 + "x", "nested too deeply"),
    ],
)
def test_yaml_that_is_unsafe_or_broken_is_one_line_that_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    status, lines, err = check(tmp_path, capsys, "policy.yaml", text)
    assert (status, lines, err.count("\n")) == (2, [], 1)
    assert said in err


def test_without_pyyaml_json_works_and_yaml_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(document_of(minimal_rule())))
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(document_of(minimal_rule())))
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[4])!r}); from sensor.policy.cli import main; "
    )
    for name, status, said in (("policy.json", 0, ""), ("policy.yaml", 2, "YAML needs the package PyYAML")):
        # -I -S: the standard library alone, as on a node.
        command = [sys.executable, "-I", "-S", "-c", program + "sys.exit(main(sys.argv[1:]))", "check", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status
        assert said in done.stderr
        assert done.stderr.count("\n") == bool(said)


KEYS = st.text("abc", min_size=1, max_size=3)
VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(["x", "two\nlines", '"', "\\", "[", "é"]) | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_every_part_of_a_document_is_found_in_both_formats(document: dict[str, Any]) -> None:
    for kind, text in (("json", json.dumps(document, indent=1)), ("yaml", yaml.safe_dump(document))):
        assert parse_document(text.encode(), kind) == document
        lines = text.splitlines()
        for place, key in parts(document):
            number = document_lines(text.encode(), kind, [place]).line(place)
            assert 1 <= number <= len(lines)
            if key:
                assert key in lines[number - 1], (place, number, text)


def parts(value: Any, place: str = "") -> list[tuple[str, str]]:
    """Return the place of each part, and the key that stands in its line; "" for one of a list."""
    found = []
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f"{place}.{key}".lstrip(".")
            found += [(where, key), *parts(inner, where)]
    if isinstance(value, list):
        for index, inner in enumerate(value):
            found += [(f"{place}[{index}]", ""), *parts(inner, f"{place}[{index}]")]
    return found
