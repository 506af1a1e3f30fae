"""`python -m sensor.policy check | evaluate`: try a policy document (docs/policy-semantics.md#on-the-command-line)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from sensor.policy.document_errors import DOCUMENT, DocumentError, PolicyInvalid, UnreadableError
from sensor.policy.document_text import document_lines, file_format, parse_document, parse_json
from sensor.policy.engine import Policy, compile_policy
from sensor.policy.flat_event import EventInvalid, check_event
from sensor.policy.lint import LintFinding, lint
from sensor.policy.validation import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VALID, INVALID, UNREADABLE = 0, 1, 2
MAX_BYTES: Final = 256 * 1024 * 1024
"""Of a document; the largest valid one has some 100 MB."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; `arguments` default to the process's own."""
    options = policy_parser().parse_args(arguments)
    try:
        data, kind = _content(options.policy), file_format(options.policy.name)
        document = parse_document(data, kind)
        if options.command == "check":
            return _check(_File(str(options.policy), data, kind), document, strict=options.strict)
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


def policy_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
        command.add_argument("policy", metavar="POLICY", type=Path, help="the document, JSON or YAML by its extension")
    evaluating.add_argument("events", metavar="EVENTS.jsonl", type=Path, help="the events")
    evaluating.add_argument("--explain", action="store_true", help="add every rule that was tried and what failed")
    return parser


class _File(NamedTuple):
    name: str
    data: bytes
    kind: str | None


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"larger than {MAX_BYTES // 1024 // 1024} MiB, which no valid document is")
    return data


def _check(file: _File, document: Any, *, strict: bool) -> int:
    """Print each error, else each warning, as FILE:LINE: rule: field: reason."""
    errors = check(document)
    findings = [] if errors else lint(document)
    places = [(_place(each), str(each)) for each in errors] or [(_place(each), each.line) for each in findings]
    if places:
        lines = document_lines(file.data, file.kind, [place for place, _ in places])
        for place, text in places:
            print(one_line(f"{file.name}:{lines.line(place)}: {text}"))
    return INVALID if errors or (findings and strict) else VALID


def _place(found: DocumentError | LintFinding) -> str:
    """Return where in the document it is."""
    if found.index is not None:
        return f"rules[{found.index}].{found.field}".rstrip(".")
    if found.rule == DOCUMENT:
        return found.field
    return f"{found.rule}.{found.field}".rstrip(".")


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


def _report(message: str) -> None:
    print(one_line(message), file=sys.stderr)


def one_line(text: str) -> str:
    """Return the text as one printable line: names may hold line breaks and unpaired surrogates."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
