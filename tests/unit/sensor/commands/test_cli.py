"""The commands, as administrators and supervisors use them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

import sensor
from sensor.capture import backends
from sensor.capture import doctor_checks as probe
from sensor.capture.base import DoctorCheck
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.replay import Replay
from sensor.commands import doctor
from sensor.commands.exit_status import ExitStatus
from sensor.commands.main import main
from sensor.delivery.client import PortalClient
from sensor.operations.machine import boot_digest, machine_digest
from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import CREDENTIAL, Answer, FakePortal, refused

SAMPLES = Path(sensor.__file__).parent / "samples"


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here loads anything into the kernel, or asks this machine's runtimes."""

    def unavailable(**_: object) -> None:
        raise CaptureUnavailable("needs root")

    for name in ("open_ebpf", "open_fanotify", "Fanotify"):
        monkeypatch.setattr(backends, name, unavailable)
    monkeypatch.setattr(probe, "probe", lambda: [DoctorCheck("eBPF capture starts", ok=True)])
    monkeypatch.setattr(doctor, "USUAL_PLACES", ())
    monkeypatch.setattr(doctor, "discovered_places", list)


def enrol(portal: FakePortal, directory: Path, *more: str, token: str | None = "dwe_1") -> int:
    tokens = ["--token", token] if token else []
    place = ["--cluster", "prod", "--distribution", "aks", "--kubernetes-version", "v1.31.2", "--node", "n1"]
    return main(["enrol", "--portal", portal.url, "--state", str(directory), *place, *tokens, *more])


def test_enrolment_stores_the_identity_and_describes_the_node(
    portal: FakePortal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(portal, tmp_path) == ExitStatus.OK
    (request,) = portal.enrolments
    assert (request.token, request.node, request.capabilities) == ("dwe_1", "n1", [])
    assert (request.cluster.name, request.cluster.distribution, request.cluster.kubernetes_version) == (
        "prod",
        "aks",
        "v1.31.2",
    )
    assert request.previous_credential is None
    assert (request.machine_digest, request.boot_digest) == (machine_digest(), boot_digest())
    identity = StateDirectory(tmp_path).identity()
    assert identity is not None
    assert (identity.credential, identity.provider, identity.account) == (CREDENTIAL, "azure", "sub-1")
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert "Enrolled n1 in prod" in capsys.readouterr().out
    assert CREDENTIAL not in capsys.readouterr().out


@pytest.mark.parametrize("libraries_too", [True, False])
def test_enrolment_reports_working_ebpf(
    portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries_too: bool
) -> None:
    def opened(*, libraries: bool, **_: object) -> Replay:
        if libraries and not libraries_too:
            raise CaptureUnavailable("no such tracepoint")
        return Replay([SAMPLES / "dev.jsonl"])

    monkeypatch.setattr(backends, "open_ebpf", opened)
    assert enrol(portal, tmp_path) == ExitStatus.OK
    assert portal.enrolments[0].capabilities == (["ebpf", "library"] if libraries_too else ["ebpf"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"libraries": False, "keep_pins": False}),
        (["--libraries"], {"libraries": True, "keep_pins": False}),
        (["--keep-pins"], {"libraries": False, "keep_pins": True}),
    ],
)
def test_the_options_of_run_reach_the_capture(
    portal: FakePortal,
    state: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    expected: dict[str, bool],
) -> None:
    """A replay stands in for the kernel."""
    given: dict[str, object] = {}

    def opened(**more: object) -> Replay:
        given.update(more)
        return Replay([SAMPLES / "kube-system.jsonl"], speed=1e6, once=True)

    monkeypatch.setattr(backends, "open_ebpf", opened)
    portal.publish(1)
    command = ["run", "--state", str(state.path), "--no-stream", "--capture", "ebpf", *options]
    assert main(command) == ExitStatus.OK
    assert {name: given[name] for name in expected} == expected


def test_enrolling_again_sends_the_old_credential(portal: FakePortal, tmp_path: Path) -> None:
    enrol(portal, tmp_path)
    enrol(portal, tmp_path)
    assert portal.enrolments[1].previous_credential == CREDENTIAL


def test_unless_enrolled_leaves_an_enrolled_node_alone_and_needs_no_token(portal: FakePortal, tmp_path: Path) -> None:
    assert enrol(portal, tmp_path, "--unless-enrolled") == ExitStatus.OK
    assert enrol(portal, tmp_path, "--unless-enrolled", token=None) == ExitStatus.OK
    assert len(portal.enrolments) == 1


def test_the_token_may_come_from_a_file_or_the_environment(
    portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("dwe_file\n")
    assert enrol(portal, tmp_path / "s", "--token-file", str(tmp_path / "token"), token=None) == ExitStatus.OK
    monkeypatch.setenv("DRIFTWATCH_ENROLMENT_TOKEN", "dwe_env")
    assert enrol(portal, tmp_path / "t", "--capability", "replay", token=None) == ExitStatus.OK
    assert [(each.token, each.capabilities) for each in portal.enrolments] == [
        ("dwe_file", []),
        ("dwe_env", ["replay"]),
    ]


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (refused(401, "invalid_token"), ExitStatus.NOT_ENROLLED, "it is invalid_token"),
        (refused(403, "environment_off"), ExitStatus.NOT_ENROLLED, "it is environment_off"),
        (refused(409, "node_in_use"), ExitStatus.NOT_ENROLLED, "it is node_in_use"),
        (refused(422, "kubernetes_too_old"), ExitStatus.NOT_ENROLLED, "it is kubernetes_too_old"),
        ((502, b"", {}), ExitStatus.UNREACHABLE, "502"),
    ],
)
def test_a_rejected_enrolment_gives_its_reason_in_one_line(
    portal: FakePortal,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: Answer,
    status: ExitStatus,
    words: str,
) -> None:
    portal.script["sensors/enrol"] = [answer]
    assert enrol(portal, tmp_path) == status
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert StateDirectory(tmp_path).identity() is None


def test_a_rejected_second_enrolment_keeps_the_first(portal: FakePortal, tmp_path: Path) -> None:
    enrol(portal, tmp_path)
    portal.script["sensors/enrol"] = [refused(409, "node_in_use")]
    assert enrol(portal, tmp_path) == ExitStatus.NOT_ENROLLED
    assert StateDirectory(tmp_path).identity() is not None


@pytest.mark.parametrize(
    "wrong", [["enrol"], ["run", "--spool-mib", "0"], ["run", "--poll-seconds", "-1"], ["run", "--capture", "x"], []]
)
def test_a_wrong_command_line_ends_with_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == ExitStatus.USAGE


def failing(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str]:
    status = main(command)
    error = capsys.readouterr().err
    assert error.startswith("driftwatch-sensor: ")
    assert error.count("\n") == 1
    return status, error


def test_without_a_token_no_request_is_sent(
    portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRIFTWATCH_ENROLMENT_TOKEN", raising=False)
    assert enrol(portal, tmp_path, token=None) == ExitStatus.USAGE
    assert enrol(portal, tmp_path, "--token-file", str(tmp_path / "none"), token=None) == ExitStatus.USAGE
    assert portal.calls == []


def test_a_node_that_is_not_enrolled_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = failing(capsys, "run", "--state", str(tmp_path))
    assert (status, "not enrolled" in error) == (ExitStatus.NOT_ENROLLED, True)


def test_a_revoked_sensor_does_not_run_again(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    state.revoke()
    status, error = failing(capsys, "run", "--state", str(state.path))
    assert (status, "revoked" in error) == (ExitStatus.REVOKED, True)


@pytest.mark.parametrize("capture", ["ebpf", "fanotify"])
def test_an_unavailable_backend_is_reported_in_one_line(
    state: StateDirectory, capsys: pytest.CaptureFixture[str], capture: str
) -> None:
    status, error = failing(capsys, "run", "--state", str(state.path), "--capture", capture)
    assert (status, error) == (ExitStatus.NO_CAPTURE, "driftwatch-sensor: needs root\n")


def test_if_no_backend_is_available_the_line_has_the_reason_of_each(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    status, error = failing(capsys, "run", "--state", str(state.path))
    assert (status, error) == (ExitStatus.NO_CAPTURE, "driftwatch-sensor: needs root; needs root\n")


def test_a_replay_needs_a_recording(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(state.path)
    assert failing(capsys, "run", "--state", directory, "--capture", "replay")[0] == ExitStatus.USAGE
    gone = failing(capsys, "run", "--state", directory, "--capture", "replay", "--replay", "gone")
    assert gone[0] == ExitStatus.NO_CAPTURE


def test_a_second_sensor_on_one_directory_is_rejected(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    with state.lock():
        status, error = failing(capsys, "run", "--state", str(state.path))
    assert (status, "another sensor is running" in error) == (ExitStatus.STATE, True)


def run_once(state: StateDirectory, *more: str) -> int:
    recording = str(SAMPLES / "kube-system.jsonl")
    command = ["run", "--state", str(state.path), "--capture", "replay", "--replay", recording]
    return main([*command, "--replay-once", "--replay-speed", "1e6", *more])


def test_a_replay_that_is_played_once_delivers_everything_and_exits(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    assert run_once(state) == ExitStatus.OK
    assert sum(event.count for event in portal.events.values()) == 85
    assert all(event.decision for event in portal.events.values())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refused(401, "not_authenticated"), ExitStatus.NOT_AUTHENTICATED),
        (refused(403, "sensor_revoked"), ExitStatus.REVOKED),
    ],
)
def test_a_final_answer_ends_the_run_with_its_own_status(
    portal: FakePortal, state: StateDirectory, answer: Answer, status: ExitStatus
) -> None:
    portal.publish(1)
    portal.always["sensors/me/events"] = answer
    assert run_once(state, "--no-stream") == status
    assert StateDirectory(state.path).revoked == (status == ExitStatus.REVOKED)
    assert portal.events == {}


def test_the_doctor_reports_what_does_not_work(
    portal: FakePortal, state: StateDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--state", str(state.path)]) == ExitStatus.OK
    assert f"{portal.url} answers 200" in capsys.readouterr().out
    assert main(["doctor", "--state", str(tmp_path / "none")]) == ExitStatus.FAILED
    assert "FAIL  State directory" in capsys.readouterr().out
    state.revoke()
    assert main(["doctor", "--state", str(state.path)]) == ExitStatus.FAILED
    assert "revoked" in capsys.readouterr().out
    (state.path / "identity.json").write_text(json.dumps({}))
    assert main(["doctor", "--state", str(state.path)]) == ExitStatus.FAILED
    assert "damaged" in capsys.readouterr().out


def test_the_portal_s_url_may_have_the_api_s_path_or_not() -> None:
    assert (
        PortalClient("https://d.example/").address
        == PortalClient("https://d.example/api/v1/").address
        == "https://d.example"
    )
