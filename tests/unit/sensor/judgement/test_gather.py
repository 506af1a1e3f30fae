"""The image test on layers in a directory, without a kernel: facts are gathered and decided on."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
from pathlib import Path

import msgspec
import pytest

from sensor.container import bundle, node_init
from sensor.container.mounts import Mount
from sensor.container.overlay import Layers
from sensor.container.root_filesystem import RootFilesystem
from sensor.file_state import StateFlag
from sensor.files.handles import OpenFile
from sensor.files.hashing import Hasher
from sensor.judgement import image_layers
from sensor.judgement.arguments import RootUnknown
from sensor.judgement.decide import Verdict
from sensor.judgement.exec_files import open_running
from sensor.judgement.gather import is_unchanged_since_start
from sensor.record import Flag, LastWriter, Record
from tests.unit.sensor.judgement.box import NOBODY, OTHER, ROOT, Box, Judge, digest
from tests.unit.sensor.records import record


class TestUpperLayer:
    def test_a_file_that_is_not_in_the_image_is_new(self, judge: Judge, box: Box) -> None:
        verdict = judge.judge(box.ran("/tmp/x", "evil"), box.resolved, None)
        assert verdict == Verdict("new_file", b"/tmp/x", digest("evil"), "ok", 4)

    def test_content_that_differs_from_the_image_s_is_a_replacement(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        verdict = judge.judge(box.ran("/bin/x", "evil"), box.resolved, None)
        assert verdict == Verdict("replaced", b"/bin/x", digest("evil"), "ok", 4)

    def test_the_image_s_content_at_its_path_is_not_drift(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        assert judge.judge(box.ran("/bin/x", "good"), box.resolved, None) is None

    def test_the_image_s_content_at_another_path_is_a_copy(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        verdict = judge.judge(box.ran("/tmp/y", "good"), box.resolved, None)
        assert verdict == Verdict("copy_of_image_file", b"/tmp/y", digest("good"), "ok", 4, copy_of=b"/bin/x")

    def test_a_file_seen_through_another_mount_is_foreign(self, judge: Judge, box: Box) -> None:
        ran = msgspec.structs.replace(box.ran("/tmp/x", "evil"), path=b"/bin/ls", mount_point=b"/bin/ls")
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("foreign_mount", b"/bin/ls")

    @pytest.mark.parametrize(("flag", "kind"), [(Flag.LOWER, "replaced"), (0, "new_file")])
    def test_without_layers_the_kernel_s_record_decides(self, judge: Judge, box: Box, flag: int, kind: str) -> None:
        unknown = dataclasses.replace(box.resolved, layers=None)
        ran = box.ran("/bin/x", "evil")
        verdict = judge.judge(msgspec.structs.replace(ran, flags=ran.flags | flag), unknown, None)
        assert verdict is not None
        assert (verdict.kind, verdict.hash_status) == (kind, "gone")

    @pytest.mark.parametrize(("flag", "kind"), [(Flag.LOWER, "replaced"), (0, "new_file")])
    def test_if_the_image_is_unreadable_the_kernel_s_record_decides(
        self, judge: Judge, box: Box, monkeypatch: pytest.MonkeyPatch, flag: int, kind: str
    ) -> None:
        def fails(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(image_layers, "open_in_image", fails)
        ran = box.ran("/bin/x", "evil")
        verdict = judge.judge(msgspec.structs.replace(ran, flags=ran.flags | flag), box.resolved, None)
        assert verdict == Verdict(kind, b"/bin/x", digest("evil"), "ok", 4, basis="unknown")  # type: ignore[arg-type]

    def test_a_verdict_without_the_image_s_layers_is_not_remembered(
        self, judge: Judge, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The runtime that names them may answer later."""
        ran = box.ran("/bin/x", "evil")
        hidden = dataclasses.replace(box.resolved, layers=Layers((b"/gone",), bytes(box.upper), is_complete=False))
        verdict = judge.judge(ran, hidden, None)
        assert verdict is not None
        assert verdict.basis == "unknown"
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert verdict.basis == "content"

    def test_a_file_too_large_to_hash_is_still_drift(self, box: Box) -> None:
        verdict = Judge(Hasher(limit=3, records=box.records)).judge(box.ran("/tmp/x", "evil"), box.resolved, None)
        assert verdict == Verdict("new_file", b"/tmp/x", None, "too_large", 4)


class TestSwapping:
    def test_a_file_swapped_in_for_the_one_that_ran_is_not_hashed(self, judge: Judge, box: Box) -> None:
        ran = box.ran("/tmp/x", "evil")
        (box.upper / "tmp/x").unlink()
        box.put(box.upper, "/tmp/x", "nice")
        # On some filesystems it gets the number of the one before, and both are made within a tick of the clock.
        box.records.begun_ns += 1
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict == Verdict("new_file", b"/tmp/x", None, "gone", 4)

    def test_an_image_file_touched_after_it_ran_is_not_drift(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        ran = box.ran("/bin/x", "good")
        (box.upper / "bin/x").chmod(0o700)
        assert judge.judge(ran, box.resolved, None) is None

    def test_an_image_s_content_restored_after_it_ran_is_not_trusted(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        ran = box.ran("/bin/x", "evil")
        box.put(box.upper, "/bin/x", "good")
        box.records.note_write(ran.ino)
        assert judge.judge(ran, box.resolved, None) == Verdict("replaced", b"/bin/x", None, "gone", 4)

    def test_without_a_record_of_writers_a_file_that_changed_since_is_not_trusted(
        self, unrecorded: Judge, box: Box
    ) -> None:
        box.put(box.image, "/bin/x", "good")
        ran = msgspec.structs.replace(box.ran("/bin/x", "good"), state=None)
        (box.upper / "bin/x").chmod(0o700)
        assert unrecorded.judge(ran, box.resolved, None) == Verdict("replaced", b"/bin/x", None, "gone", 4)

    def test_an_image_s_file_that_is_mapped_writable_as_it_runs_is_reported(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/x", "good")
        box.records.flags |= StateFlag.MAPPED
        ran = box.ran("/bin/x", "good")
        assert judge.judge(ran, box.resolved, None) == Verdict("replaced", b"/bin/x", None, "gone", 4)

    def test_a_process_s_later_program_is_not_taken_for_the_one_that_ran(self, box: Box) -> None:
        assert open_running(msgspec.structs.replace(box.ran("/tmp/x", "evil"), pid=os.getpid())) is None

    def test_a_program_that_still_runs_is_opened(self, box: Box) -> None:
        facts = Path("/proc/self/exe").stat()
        ran = record(pid=os.getpid(), ino=facts.st_ino, dev=facts.st_dev, magic=0)
        running = open_running(ran)
        assert running is not None
        running.close()

    def test_an_open_executable_is_hashed_although_its_path_is_gone(self, judge: Judge, box: Box) -> None:
        ran = box.ran("/tmp/x", "evil")
        running = OpenFile.from_link(str(box.upper / "tmp/x"))
        (box.upper / "tmp/x").unlink()
        verdict = judge.judge(ran, box.resolved, running)
        running.close()
        assert verdict is not None
        assert verdict.sha256 == digest("evil")


@pytest.mark.parametrize(("after_start", "is_image_s"), [(-1, True), (0, True), (1, False)])
def test_without_overlay_a_file_is_the_image_s_until_it_changes_after_the_start(
    after_start: int, is_image_s: bool
) -> None:
    root = RootFilesystem(ROOT, None, filesystem="ext4", since_ns=100)
    assert is_unchanged_since_start(root, b"/bin/x", 100 + after_start) is is_image_s


def test_without_overlay_layers_or_a_start_nothing_is_the_image_s() -> None:
    with pytest.raises(RootUnknown):
        is_unchanged_since_start(RootFilesystem(ROOT, None, filesystem="ext4"), b"/bin/x", 0)


def test_layers_do_not_make_a_file_of_a_plain_filesystem_the_image_s(box: Box) -> None:
    layers = Layers((bytes(box.image),), bytes(box.upper))
    assert not is_unchanged_since_start(RootFilesystem(ROOT, layers, filesystem="ext4"), b"/bin/x", 0)
    assert is_unchanged_since_start(RootFilesystem(ROOT, layers, filesystem="fuse-overlayfs"), b"/bin/x", 0)


class TestMemory:
    @pytest.mark.parametrize("content", ["evil", "good"])
    def test_a_verdict_on_an_unchanged_file_is_remembered(self, judge: Judge, box: Box, content: str) -> None:
        box.put(box.image, "/bin/x", "good")
        ran = box.ran("/bin/x", content)
        first = judge.judge(ran, box.resolved, None)
        (box.upper / "bin/x").unlink()
        assert judge.knows(ran)
        assert judge.judge(ran, box.resolved, None) == first

    @pytest.mark.parametrize(
        "changes",
        [
            {"path": b"/bin/ls"},
            {"path": b"/y", "inner_path": b"/y"},
            {"inner_path": b"/y"},
            {"dev": OTHER, "mount_point": b"/data"},
            {"flags": Flag.UPPER | Flag.MEMFD},
        ],
    )
    def test_a_remembered_file_that_runs_by_another_way_is_decided_as_if_it_were_new(
        self, judge: Judge, box: Box, changes: dict[str, object]
    ) -> None:
        ran = box.ran("/tmp/x", "evil")
        other = msgspec.structs.replace(ran, **changes)
        first, verdict = judge.judge(ran, box.resolved, None), judge.judge(other, box.resolved, None)
        afresh = Judge(Hasher(records=box.records)).judge(other, box.resolved, None)
        assert first is not None
        assert verdict is not None
        assert afresh is not None
        assert (verdict.kind, verdict.path) == (afresh.kind, afresh.path) != (first.kind, first.path)

    def test_what_was_remembered_in_one_container_decides_nothing_in_another(
        self, judge: Judge, box: Box, tmp_path: Path
    ) -> None:
        ran = box.ran("/bin/x", "tool")
        box.put(tmp_path / "other", "/bin/x", "tool")
        other = dataclasses.replace(box.resolved, layers=Layers((bytes(tmp_path / "other"),), bytes(box.upper)))
        elsewhere = msgspec.structs.replace(ran, namespace_id=ran.namespace_id + 1)
        assert judge.judge(elsewhere, other, None) is None
        assert judge.judge(ran, box.resolved, None) == Verdict("new_file", b"/bin/x", digest("tool"), "ok", 4)

    def test_a_file_that_was_written_to_is_decided_again(self, judge: Judge, box: Box) -> None:
        """Its change time may be the same: of a page of a shared mapping it is."""
        box.put(box.image, "/bin/x", "good")
        ran = box.ran("/bin/x", "good")
        assert judge.judge(ran, box.resolved, None) is None
        box.put(box.upper, "/bin/x", "evil")
        box.records.note_write(ran.ino)
        again = msgspec.structs.replace(ran, state=box.records.of(ran.ino))
        assert not judge.knows(again)
        verdict = judge.judge(again, box.resolved, None)
        assert verdict == Verdict("replaced", b"/bin/x", digest("evil"), "ok", 4)

    @pytest.mark.parametrize(
        "flags", [0, StateFlag.WRITES_SEEN | StateFlag.MAPPED, StateFlag.WRITES_SEEN | StateFlag.OPEN]
    )
    def test_no_verdict_is_remembered_where_a_write_might_not_show(self, judge: Judge, box: Box, flags: int) -> None:
        box.records.flags = flags
        ran = box.ran("/tmp/x", "evil")
        judge.judge(ran, box.resolved, None)
        assert not judge.knows(ran)

    def test_without_a_record_of_writers_none_is_remembered(self, unrecorded: Judge, box: Box) -> None:
        ran = msgspec.structs.replace(box.ran("/tmp/x", "evil"), state=None)
        unrecorded.judge(ran, box.resolved, None)
        assert not unrecorded.knows(ran)


class TestMounts:
    def on(self, point: bytes, path: bytes) -> Record:
        return record(path=path, mount_point=point, dev=OTHER, pid=NOBODY, ancestors=())

    def kind(self, judge: Judge, box: Box, ran: Record) -> str | None:
        verdict = judge.judge(ran, box.resolved, None)
        return verdict.kind if verdict else None

    def test_a_mount_of_the_runtime_is_a_volume(self, judge: Judge, box: Box) -> None:
        assert self.kind(judge, box, self.on(b"/data", b"/data/x")) == "volume"

    @pytest.mark.parametrize(("content", "kind"), [("tool", None), ("evil", "volume"), ("other", "volume")])
    def test_what_the_image_has_at_that_path_is_the_image_s(
        self, judge: Judge, box: Box, tmp_path: Path, content: str, kind: str | None
    ) -> None:
        """As in a volume that the image declares, or that a runtime fills with the image's files."""
        box.put(box.image, "/data/tool", "tool")
        with contextlib.closing(OpenFile.from_link(str(box.put(tmp_path, "volume/tool", content)))) as file:
            state = box.records.of(file.ino)
            ran = msgspec.structs.replace(self.on(b"/data", b"/data/tool"), size=file.size, state=state)
            verdict = judge.judge(ran, box.resolved, file)
        assert (verdict.kind if verdict else None) == kind

    def test_the_image_s_file_elsewhere_is_not(self, judge: Judge, box: Box, tmp_path: Path) -> None:
        """A copy of `sh` on a volume is no file of a volume of the image's."""
        box.put(box.image, "/bin/tool", "tool")
        with contextlib.closing(OpenFile.from_link(str(box.put(tmp_path, "volume/tool", "tool")))) as file:
            verdict = judge.judge(self.on(b"/data", b"/data/tool"), box.resolved, file)
        assert verdict is not None
        assert (verdict.kind, verdict.copy_of) == ("volume", None)

    def test_another_mount_is_foreign_even_below_a_volume(self, judge: Judge, box: Box) -> None:
        assert self.kind(judge, box, self.on(b"/data/own", b"/data/own/x")) == "foreign_mount"

    def test_a_mount_over_the_runtime_s_is_foreign(
        self, judge: Judge, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stack = [Mount(1, 99, b"/", b"/data", b"ext4", b""), Mount(2, OTHER, b"/", b"/data", b"tmpfs", b"")]
        monkeypatch.setattr(bundle, "read_mounts", lambda _: stack)
        assert self.kind(judge, box, self.on(b"/data", b"/data/x")) == "foreign_mount"

    def test_without_the_runtime_s_record_a_mount_is_a_volume(self, judge: Judge, box: Box) -> None:
        box.resolved.bundle = None
        assert self.kind(judge, box, self.on(b"/anything", b"/anything/x")) == "volume"

    @pytest.fixture
    def init(self, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
        """The exec of the node's own init, which the runtime mounted at a path of its own."""
        program = box.put(tmp_path, "usr/bin/catatonit", "init").stat()
        monkeypatch.setattr(node_init, "ROOTS", (tmp_path,))
        self.mount(box, "/usr/bin/catatonit")
        ran = self.on(b"/run/podman-init", b"/run/podman-init")
        return msgspec.structs.replace(ran, ino=program.st_ino, size=4, ctime_ns=program.st_ctime_ns)

    def mount(self, box: Box, source: str, point: str = "/run/podman-init") -> None:
        assert box.resolved.bundle is not None
        config = {"mounts": [{"destination": point, "source": source, "type": "bind"}]}
        (box.resolved.bundle / "config.json").write_text(json.dumps(config))

    def test_the_node_s_own_init_is_not_drift(self, judge: Judge, box: Box, init: Record) -> None:
        assert self.kind(judge, box, init) is None

    def test_nor_is_one_that_an_administrator_chose(self, judge: Judge, box: Box, init: Record, tmp_path: Path) -> None:
        (tmp_path / "usr/bin/catatonit").rename(tmp_path / "usr/bin/mine")
        ran = msgspec.structs.replace(init, ctime_ns=(tmp_path / "usr/bin/mine").stat().st_ctime_ns)
        self.mount(box, "/usr/bin/mine")
        assert self.kind(judge, box, ran) == "volume"
        (tmp_path / "etc/containers").mkdir(parents=True)
        (tmp_path / "etc/containers/containers.conf").write_text('[containers]\ninit_path = "/usr/bin/mine"\n')
        assert self.kind(Judge(Hasher(records=box.records)), box, ran) is None

    @pytest.mark.parametrize("point", ["/run/podman-init", "/dev/init", "/sbin/docker-init"])
    def test_another_file_where_a_runtime_mounts_its_init_is_drift(
        self, judge: Judge, box: Box, init: Record, point: str
    ) -> None:
        self.mount(box, "/srv/evil", point)
        ran = msgspec.structs.replace(init, path=point.encode(), mount_point=point.encode())
        assert self.kind(judge, box, ran) == "volume"

    def test_so_is_a_file_that_is_not_the_node_s_any_more(self, judge: Judge, box: Box, init: Record) -> None:
        assert self.kind(judge, box, msgspec.structs.replace(init, ctime_ns=init.ctime_ns + 1)) == "volume"

    def test_so_is_one_that_a_container_wrote_to(self, judge: Judge, box: Box, init: Record) -> None:
        wrote = LastWriter(time_ns=1, pid=2, name=b"sh", path=b"/bin/sh", parent_pid=1, parent_name=b"x")
        assert self.kind(judge, box, msgspec.structs.replace(init, writer=wrote)) == "volume"

    def test_so_is_one_that_everybody_may_write_to(self, judge: Judge, box: Box, init: Record, tmp_path: Path) -> None:
        program = tmp_path / "usr/bin/catatonit"
        program.chmod(0o777)
        assert self.kind(judge, box, msgspec.structs.replace(init, ctime_ns=program.stat().st_ctime_ns)) == "volume"

    def test_a_file_in_a_directory_mounted_there_is_drift(self, judge: Judge, box: Box, init: Record) -> None:
        ran = msgspec.structs.replace(init, path=b"/run/podman-init/evil")
        assert self.kind(judge, box, ran) == "volume"

    def test_the_node_s_init_on_a_mount_made_in_the_container_is_drift(
        self, judge: Judge, box: Box, init: Record
    ) -> None:
        ran = msgspec.structs.replace(init, path=b"/elsewhere", mount_point=b"/elsewhere")
        assert self.kind(judge, box, ran) == "foreign_mount"

    def test_a_memfd_is_fileless_whatever_path_it_claims(self, judge: Judge, box: Box) -> None:
        ran = msgspec.structs.replace(self.on(b"/", b"/memfd:x"), flags=Flag.MEMFD)
        assert self.kind(judge, box, ran) == "fileless"
