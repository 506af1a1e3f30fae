"""The image test on the files that an exec names: scripts, and what loaders and interpreters run."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from sensor.judgement.arguments import Unresolvable
from sensor.judgement.decide import Verdict
from sensor.record import Flag, Record
from tests.unit.sensor.judgement.box import NOBODY, ROOT, Box, Judge, digest
from tests.unit.sensor.records import as_opened, record


class TestNamedFiles:
    def test_a_deleted_script_cannot_be_decided(self, judge: Judge, box: Box) -> None:
        ran = record(flags=Flag.SCRIPT, dev=ROOT, pid=NOBODY, ancestors=(), filename=b"/gone.sh")
        with pytest.raises(Unresolvable):
            judge.judge(ran, box.resolved, None)

    def script(self, name: bytes, **changes: object) -> Record:
        return record(flags=Flag.SCRIPT, dev=ROOT, pid=NOBODY, ancestors=(), filename=name, cwd=b"/opt", **changes)

    def test_an_image_s_script_is_not_drift_after_its_container_ended(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/run.sh", "#!/bin/sh")
        for name in (b"/opt/run.sh", b"./run.sh", b"../opt/run.sh"):
            assert judge.judge(self.script(name), box.resolved, None) is None

    def test_a_dropped_script_is_detected_after_its_container_ended(self, judge: Judge, box: Box) -> None:
        box.put(box.upper, "/opt/drop.sh", "#!/bin/sh")
        verdict = judge.judge(self.script(b"./drop.sh"), box.resolved, None)
        assert verdict == Verdict("script", b"/opt/drop.sh", digest("#!/bin/sh"), "ok", 9, via=b"/bin/x")

    def test_a_volume_s_script_is_not_looked_for_in_the_image(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/data/run.sh", "#!/bin/sh")
        with pytest.raises(Unresolvable):
            judge.judge(self.script(b"/data/run.sh"), box.resolved, None)

    def test_a_drifted_interpreter_is_reported_instead_of_its_script(self, judge: Judge, box: Box) -> None:
        ran = box.ran("/tmp/sh", "evil")
        verdict = judge.judge(msgspec.structs.replace(ran, flags=ran.flags | Flag.SCRIPT), box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("new_file", b"/tmp/sh")

    def seen(self, box: Box, path: str, content: str, *, name: bytes) -> Record:
        """Return the record of a script of the upper layer that was started as `name`."""
        return msgspec.structs.replace(self.script(name), opened=(as_opened(box.ran(path, content)),))

    def test_a_script_run_through_a_symlink_is_detected_wherever_that_points_later(
        self, judge: Judge, box: Box
    ) -> None:
        box.put(box.image, "/opt/run.sh", "#!/bin/dash")
        ran = self.seen(box, "/tmp/evil.sh", "#!/bin/sh", name=b"/opt/run.sh")
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict == Verdict("script", b"/tmp/evil.sh", digest("#!/bin/sh"), "ok", 9, via=b"/bin/x")

    def test_a_script_that_was_deleted_at_once_is_reported_without_a_hash(self, judge: Judge, box: Box) -> None:
        ran = self.seen(box, "/tmp/evil.sh", "#!/bin/sh", name=b"/tmp/evil.sh")
        (box.upper / "tmp/evil.sh").unlink()
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict == Verdict("script", b"/tmp/evil.sh", None, "gone", 9, via=b"/bin/x")

    def test_drift_under_any_name_that_the_interpreter_may_have_tried_is_detected(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/run.sh", "#!/bin/sh")
        box.put(box.upper, "/opt/other.sh", "#!/bin/sh\n")
        ran = self.seen(box, "/opt/run.sh", "#!/bin/sh", name=b"/opt/other.sh")
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("script", b"/opt/other.sh")

    def test_an_image_s_script_whose_name_no_longer_resolves_is_not_drift(self, judge: Judge, box: Box) -> None:
        ran = self.seen(box, "/opt/run.sh", "#!/bin/sh", name=b"/jail/run.sh")
        script = msgspec.structs.replace(ran.opened[0], flags=0)
        assert judge.judge(msgspec.structs.replace(ran, opened=(script,)), box.resolved, None) is None

    def test_each_script_of_a_chain_is_decided(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/outer.sh", "#!/opt/middle.sh")
        outer = msgspec.structs.replace(as_opened(box.ran("/opt/outer.sh", "#!/opt/middle.sh")), flags=0)
        middle = as_opened(box.ran("/opt/middle.sh", "#!/bin/sh"))
        argv = (b"/bin/sh", b"-e", b"/opt/middle.sh", b"/opt/outer.sh")
        ran = msgspec.structs.replace(self.script(b"/opt/outer.sh"), opened=(outer, middle), argv=argv)
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict == Verdict("script", b"/opt/middle.sh", digest("#!/bin/sh"), "ok", 9, via=b"/bin/x")

    def test_the_innermost_script_of_a_chain_is_decided_by_its_name_in_argv_too(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/outer.sh", "#!/opt/link")
        box.put(box.upper, "/opt/link", "#!/bin/evil")
        files = box.ran("/opt/outer.sh", "#!/opt/link"), box.ran("/opt/middle.sh", "#!/bin/sh")
        image = tuple(msgspec.structs.replace(as_opened(ran), flags=0) for ran in files)
        argv = (b"/bin/sh", b"/opt/link", b"/opt/outer.sh")
        ran = msgspec.structs.replace(self.script(b"/opt/outer.sh"), opened=image, argv=argv)
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("script", b"/opt/link")

    def test_a_program_interpreter_is_drift_of_its_own_kind_via_the_program(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/lib/ld.so", "good")
        for path, content, kind in (("/lib/ld.so", "evil", "replaced"), ("/tmp/ld.so", "new", "new_file")):
            loader = as_opened(box.ran(path, content), is_interpreter=True)
            ran = record(dev=ROOT, pid=NOBODY, ancestors=(), opened=(loader,))
            verdict = judge.judge(ran, box.resolved, None)
            assert verdict is not None
            assert (verdict.kind, verdict.path, verdict.via) == (kind, path.encode(), b"/bin/x")
            assert verdict.sha256 == digest(content)

    def test_a_program_interpreter_is_reported_before_a_script(self, judge: Judge, box: Box) -> None:
        script = as_opened(box.ran("/tmp/evil.sh", "#!/bin/sh"))
        loader = as_opened(box.ran("/tmp/ld.so", "new"), is_interpreter=True)
        ran = msgspec.structs.replace(self.script(b"/tmp/evil.sh"), opened=(script, loader))
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("new_file", b"/tmp/ld.so")

    def test_a_touched_program_interpreter_is_the_image_s(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/lib/ld.so", "good")
        loader = as_opened(box.ran("/lib/ld.so", "good"), is_interpreter=True)
        assert judge.judge(record(dev=ROOT, pid=NOBODY, opened=(loader,)), box.resolved, None) is None

    def loaded(self, *argv: bytes, flags: int = 0) -> Record:
        argv = (b"ld.so", *argv)
        return record(flags=Flag.LOADER | flags, dev=ROOT, pid=NOBODY, ancestors=(), argv=argv, cwd=b"/opt")

    def test_a_library_that_the_loader_preloads_is_detected(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/ls", "good")
        box.put(box.upper, "/tmp/evil.so", "evil")
        for option in (b"--preload", b"--audit"):
            verdict = judge.judge(self.loaded(option, b"/tmp/evil.so", b"/bin/ls"), box.resolved, None)
            assert verdict == Verdict("library", b"/tmp/evil.so", digest("evil"), "ok", 4, via=b"/bin/x")

    def test_a_program_without_a_slash_is_searched_in_the_loader_s_directories(self, judge: Judge, box: Box) -> None:
        box.put(box.upper, "/tmp/lib/m", "evil")
        verdict = judge.judge(self.loaded(b"--library-path", b"/nowhere:/tmp/lib", b"m"), box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("loader", b"/tmp/lib/m")

    def test_a_loader_whose_program_lies_past_the_readable_arguments_is_counted_as_lost(
        self, judge: Judge, box: Box
    ) -> None:
        with pytest.raises(Unresolvable):
            judge.judge(self.loaded(b"--argv0", b"x", flags=Flag.ARGV_CUT), box.resolved, None)

    def test_a_file_passed_to_an_interpreter_is_decided_like_a_script(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/good.pl", "good")
        box.put(box.upper, "/opt/evil.pl", "evil")
        ran = record(flags=Flag.INTERPRETER, dev=ROOT, pid=NOBODY, ancestors=(), cwd=b"/opt", path=b"/usr/bin/perl")
        assert judge.judge(msgspec.structs.replace(ran, argv=(b"perl", b"good.pl")), box.resolved, None) is None
        assert judge.judge(msgspec.structs.replace(ran, argv=(b"perl", b"-e", b"1")), box.resolved, None) is None
        verdict = judge.judge(msgspec.structs.replace(ran, argv=(b"perl", b"-w", b"evil.pl")), box.resolved, None)
        assert verdict == Verdict("interpreter", b"/opt/evil.pl", digest("evil"), "ok", 4, via=b"/usr/bin/perl")

    def test_an_interpreter_whose_script_lies_past_the_readable_arguments_is_counted_as_lost(
        self, judge: Judge, box: Box
    ) -> None:
        box.put(box.image, "/opt/good.pl", "good")
        box.put(box.upper, "/opt/evil.pm", "evil")
        cut = Flag.INTERPRETER | Flag.ARGV_CUT
        ran = record(flags=cut, dev=ROOT, pid=NOBODY, ancestors=(), cwd=b"/opt", path=b"/usr/bin/ruby")
        for argv in ((b"ruby", b"-w", b"-w"), (b"ruby", b"-w", b"good.pl"), ()):
            with pytest.raises(Unresolvable):
                judge.judge(msgspec.structs.replace(ran, argv=argv), box.resolved, None)
        assert judge.judge(msgspec.structs.replace(ran, argv=(b"ruby", b"good.pl", b"a")), box.resolved, None) is None
        found = judge.judge(msgspec.structs.replace(ran, argv=(b"ruby", b"-r/opt/evil.pm", b"-w")), box.resolved, None)
        assert found is not None
        assert found.path == b"/opt/evil.pm"

    def test_more_names_than_are_looked_for_are_counted_as_lost(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/opt/good.jar", "good")
        several = b":".join(b"/opt/%d.jar" % number for number in range(1025))
        ran = record(flags=Flag.INTERPRETER, dev=ROOT, pid=NOBODY, ancestors=(), path=b"/usr/bin/java")
        for paths, is_lost in ((several, True), (b":".join([b"/opt/good.jar"] * 1025), False)):
            argv = (b"java", b"-cp", paths, b"Main")
            with pytest.raises(Unresolvable) if is_lost else contextlib.nullcontext():
                assert judge.judge(msgspec.structs.replace(ran, argv=argv), box.resolved, None) is None
        values = [word for number in range(300) for word in (b"--new", b"%d" % number)]
        ran = msgspec.structs.replace(ran, path=b"/usr/bin/node", argv=(b"node", *values, b"app.js"))
        with pytest.raises(Unresolvable):
            judge.judge(ran, box.resolved, None)

    def test_a_file_passed_to_an_interpreter_that_a_loader_runs_is_too(self, judge: Judge, box: Box) -> None:
        box.put(box.image, "/bin/perl", "good")
        box.put(box.upper, "/opt/evil.pl", "evil")
        ran = self.loaded(b"/bin/perl", b"evil.pl", flags=Flag.INTERPRETER)
        ran = msgspec.structs.replace(ran, path=b"/lib/ld-linux.so.2")
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict == Verdict("interpreter", b"/opt/evil.pl", digest("evil"), "ok", 4, via=b"/lib/ld-linux.so.2")
        box.put(box.upper, "/bin/perl", "evil")
        verdict = judge.judge(ran, box.resolved, None)
        assert verdict is not None
        assert (verdict.kind, verdict.path) == ("loader", b"/bin/perl")

    def test_a_loader_that_only_lists_runs_nothing(self, judge: Judge, box: Box) -> None:
        ran = record(flags=Flag.LOADER, dev=ROOT, argv=(b"ld.so", b"--list", b"/tmp/x"))
        assert judge.judge(ran, box.resolved, None) is None

    @pytest.mark.parametrize(
        ("words", "path"),
        [
            ("--new 65536 app.js", None),  # the value is no file: it need not be there
            ("--new 65536 evil.js", "/opt/evil.js"),
            ("--new image.pem app.js", None),
            ("--new volume.pem app.js", "/opt/volume.pem"),  # what it is can't be told: it may be the program
            ("--new image.pem -r /opt/evil app.js", "/opt/evil"),
            ("--new app.js -r /opt/evil app.js", None),
            ("--new other.js -r /opt/evil app.js", "/opt/evil"),
            ("--new app.js -r /opt/evil other.js", "/opt/evil"),
            ("--new 65536 -r /opt/evil app.js", "/opt/evil"),
            ("--new /opt -r /opt/evil app.js", "/opt/evil"),  # a directory
            ("--new app.js -r /opt/evil", None),  # the program's own argument
            ("--new app.js evil", "/opt/evil"),  # its argument, or the program whose name is a value's
            ("--new app.js other.js evil", None),
            ("--new evil", "/opt/evil"),
            ("--new evil app.js", "/opt/evil"),
            ("--new gone evil app.js", "/opt/evil"),
            ("--new gone --other evil app.js", "/opt/evil"),
            ("--new app.js --other evil other.js", "/opt/evil"),
            ("--new evil -- app.js", "/opt/evil"),
            (" ".join(f"--new{at} {at}" for at in range(50)) + " --new evil app.js", "/opt/evil"),
            ("--new evil -e 1", "/opt/evil"),
            ("--new 65536", None),
            ("--experimental-strip-types evil app.js", "/opt/evil"),
            ("--experimental-vm-modules app.js evil", None),
        ],
    )
    def test_behind_an_option_that_is_not_known_each_file_that_is_there_and_may_be_the_script_is_judged(
        self, judge: Judge, box: Box, words: str, path: str | None
    ) -> None:
        for name in ("app.js", "other.js", "image.pem"):
            box.put(box.image, f"/opt/{name}", "good")
        for name in ("evil", "evil.js", "volume.pem"):
            box.put(box.upper, f"/opt/{name}", "evil")
        argv = (b"node", *words.encode().split(b" "))
        ran = record(flags=Flag.INTERPRETER, dev=ROOT, pid=NOBODY, ancestors=(), cwd=b"/opt", path=b"/usr/bin/node")
        verdict = judge.judge(msgspec.structs.replace(ran, argv=argv), box.resolved, None)
        assert (verdict.path.decode() if verdict else None) == path
