"""`python -m sensor.policy check | evaluate`: try a policy document (docs/policy-semantics.md#on-the-command-line)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from sensor.policy.document_errors import PolicyInvalid
from sensor.policy.engine import Policy, compile_policy
from sensor.policy.flat_event import EventInvalid, check_event
from sensor.policy.lint import lint
from sensor.policy.validation import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VALID, INVALID, UNREADABLE = 0, 1, 2


class UnreadableError(ValueError):
    """Bytes that are not JSON; the message has the reason."""


def parse_json(data: bytes, *, unique_keys: bool = False) -> Any:
    """Return the value of JSON in UTF-8. Raises UnreadableError.

    `unique_keys` rejects an object that has a key twice: JSON readers disagree on which one counts.
    """
    try:
        text = data.decode("utf-8")
        hook = _unique if unique_keys else None
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=hook)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    except ValueError as error:
        raise UnreadableError(f"not JSON: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; `arguments` default to the process's own."""
    options = _parser().parse_args(arguments)
    try:
        document = parse_json(options.policy.read_bytes(), unique_keys=True)
        if options.command == "check":
            return _check(document, strict=options.strict)
        with options.events.open("rb") as lines:
            return _evaluate(compile_policy(document), lines, explain=options.explain)
    except PolicyInvalid as error:
        for each in error.errors:
            _report(str(each))
    except UnreadableError as error:
        _report(f"{options.policy}: {error}")
    except OSError as error:
        _report(f"{error.filename}: {error.strerror}")
    return UNREADABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sensor.policy", description="Check or evaluate a drift policy document."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser(
        "check", help="print every error in a document, else its warnings: rule, field, reason"
    )
    checking.add_argument("--strict", action="store_true", help="fail on warnings too")
    evaluating = commands.add_parser("evaluate", help="decide events, one JSON object per line, in order")
    for command in (checking, evaluating):
        command.add_argument("policy", metavar="POLICY.json", type=Path)
    evaluating.add_argument("events", metavar="EVENTS.jsonl", type=Path)
    evaluating.add_argument("--explain", action="store_true", help="add every rule that was tried and what failed")
    return parser


def _check(document: Any, *, strict: bool) -> int:
    errors = check(document)
    for error in errors:
        print(one_line(str(error)))
    if errors:
        return INVALID
    findings = lint(document)
    for finding in findings:
        print(one_line(finding.line))
    return INVALID if findings and strict else VALID


def _evaluate(policy: Policy, lines: BinaryIO, *, explain: bool) -> int:
    status = VALID
    for result in _results(policy, lines, explain=explain):
        if "error" in result:
            status = INVALID
        print(json.dumps(result))
    return status


def _results(policy: Policy, lines: Iterable[bytes], *, explain: bool) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            decision, trace = policy.explain(check_event(parse_json(line)))
        except (EventInvalid, UnreadableError) as error:
            yield {"error": str(error)}
            continue
        result = {"action": decision.action, "rule": decision.rule, "reason": decision.reason}
        yield result | {"trace": trace} if explain else result


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _report(message: str) -> None:
    print(one_line(message), file=sys.stderr)


def one_line(text: str) -> str:
    """Return the text as one printable line: names may hold line breaks and unpaired surrogates."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
