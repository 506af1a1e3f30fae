"""`python -m sensor.policy check | evaluate`: a policy document tried on the command line (DESIGN §2)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from sensor.policy.document_errors import PolicyInvalid
from sensor.policy.engine import Policy, compile_policy
from sensor.policy.flat_event import EventInvalid, check_event
from sensor.policy.validation import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FINE, FAULTS, UNREADABLE = 0, 1, 2


class UnreadableError(ValueError):
    """Bytes that are no JSON text; the message says why."""


def parse_json(data: bytes, *, unique_keys: bool = False) -> Any:
    """The value of a UTF-8 JSON text. Raises UnreadableError.

    `unique_keys` refuses an object that has a key twice: readers disagree on which one counts.
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
    """Run the command; `arguments` default to the process's own. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        document = parse_json(options.policy.read_bytes(), unique_keys=True)
        if options.command == "check":
            return _check(document)
        with options.events.open("rb") as lines:
            return _evaluate(compile_policy(document), lines, explain=options.explain)
    except PolicyInvalid as error:
        for fault in error.faults:
            _complain(str(fault))
    except UnreadableError as error:
        _complain(f"{options.policy}: {error}")
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}")
    return UNREADABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sensor.policy", description="Try a drift policy document.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="say what is wrong with a document: rule, field, why")
    evaluating = commands.add_parser("evaluate", help="decide events, one JSON object a line, in order")
    for command in (checking, evaluating):
        command.add_argument("policy", metavar="POLICY.json", type=Path)
    evaluating.add_argument("events", metavar="EVENTS.jsonl", type=Path)
    evaluating.add_argument("--explain", action="store_true", help="add every rule that was tried and what failed")
    return parser


def _check(document: object) -> int:
    faults = check(document)
    for fault in faults:
        print(_one_line(str(fault)))
    return FAULTS if faults else FINE


def _evaluate(policy: Policy, lines: BinaryIO, *, explain: bool) -> int:
    status = FINE
    for answer in _answers(policy, lines, explain=explain):
        if "error" in answer:
            status = FAULTS
        print(json.dumps(answer))
    return status


def _answers(policy: Policy, lines: Iterable[bytes], *, explain: bool) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            decision, trace = policy.explain(check_event(parse_json(line)))
        except (EventInvalid, UnreadableError) as error:
            yield {"error": str(error)}
            continue
        answer = {"action": decision.action, "rule": decision.rule, "reason": decision.reason}
        yield answer | {"trace": trace} if explain else answer


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _complain(message: str) -> None:
    print(_one_line(message), file=sys.stderr)


def _one_line(text: str) -> str:
    """Text that stays one printable line: a document may hold line breaks and half surrogate pairs in its names."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
