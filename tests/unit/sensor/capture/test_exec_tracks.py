"""Each container's last execs are read as the kernel wrote them, whatever it writes meanwhile."""

from __future__ import annotations

import pytest

from sensor.capture.exec_tracks import (
    EARLY_EXECS,
    NO_TRACK,
    TRACK_EXECS,
    TRACKS,
    UNREADABLE,
    Cursor,
    ExecTracks,
)
from tests.unit.sensor.records import record
from tests.unit.sensor.track_maps import EXECS_FD, TRACKS_FD, FakeTrackMaps

WEB, CART = "a1" * 32, "b2" * 32
START = Cursor()


@pytest.fixture
def maps() -> FakeTrackMaps:
    return FakeTrackMaps()


@pytest.fixture
def tracks(maps: FakeTrackMaps) -> ExecTracks:
    made = maps.tracks()
    made.switch(on=True)
    return made


def paths(tracks: ExecTracks, container: str, after: Cursor = START) -> list[str]:
    return [each.path.decode() for each in tracks.read(container, after).execs]


def test_an_exec_is_read_as_the_kernel_wrote_it(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    maps.execute(track, pid=42, uid=33, path=b"/usr/bin/curl", argv=b"curl\0-fsS\0http://x/y\0")
    (found,) = tracks.read(WEB, START).execs
    assert (found.pid, found.uid, found.path) == (42, 33, b"/usr/bin/curl")
    assert found.argv == (b"curl", b"-fsS", b"http://x/y")
    assert (found.parent_name, found.ancestors) == (b"sh", ((7, 70),))
    assert not found.is_argv_cut
    assert not found.is_path_cut


def test_the_last_64_are_kept_and_those_before_are_counted(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    maps.execute(tracks.give(WEB), TRACK_EXECS + 36)
    found = tracks.read(WEB, START)
    assert [each.path for each in found.execs] == [b"/bin/tool-%d" % number for number in range(37, 101)]
    assert found.missed == 36


def test_a_reading_goes_on_where_the_last_one_ended(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    maps.execute(track, 3)
    cursor = tracks.read(WEB, START).cursor
    assert tracks.read(WEB, cursor).execs == ()
    maps.execute(track, 2)
    assert paths(tracks, WEB, cursor) == ["/bin/tool-4", "/bin/tool-5"]


def test_containers_do_not_take_each_other_s_place(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    maps.execute(tracks.give(WEB), path=b"/bin/web")
    maps.execute(tracks.give(CART), TRACK_EXECS * 3, path=b"/bin/cart")
    assert paths(tracks, WEB) == ["/bin/web"]


def test_argv_and_path_that_are_cut_say_so(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    maps.execute(tracks.give(WEB), path=b"/" + b"p" * 190, argv=b"a" * 511, argv_bytes=4_000)
    (found,) = tracks.read(WEB, START).execs
    assert found.is_path_cut
    assert found.is_argv_cut
    assert found.argv == (b"a" * 511,)


def test_argv_that_could_not_be_read_is_unknown_rather_than_an_earlier_exec_s(
    maps: FakeTrackMaps, tracks: ExecTracks
) -> None:
    maps.execute(tracks.give(WEB), argv=b"left of another", argv_bytes=UNREADABLE)
    (found,) = tracks.read(WEB, START).execs
    assert (found.argv, found.is_argv_cut) == ((), True)


def test_an_exec_that_is_being_written_is_read_once_it_is_whole(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    maps.execute(track)
    begun = maps.begin(track)
    first = tracks.read(WEB, START)
    assert [each.path for each in first.execs] == [b"/bin/tool-1"]
    assert begun is not None
    maps.end(*begun)
    second = tracks.read(WEB, first.cursor)
    assert [each.path for each in second.execs] == [b"/bin/tool-2"]
    assert first.missed + second.missed == 0


def test_an_exec_that_is_overwritten_during_the_reading_is_counted_as_missed(
    maps: FakeTrackMaps, tracks: ExecTracks
) -> None:
    track = tracks.give(WEB)
    maps.execute(track, TRACK_EXECS)
    looks = 0

    def overwrite(fd: int) -> None:
        nonlocal looks
        looks += fd == EXECS_FD
        if looks == 3:  # the first exec was read twice; the second is not what it was any more
            looks += 1
            maps.execute(track, 2, path=b"/bin/later")

    maps.on_lookup = overwrite
    first = tracks.read(WEB, START)
    maps.on_lookup = lambda fd: None
    assert all(each.path != b"/bin/tool-1" for each in first.execs)
    second = tracks.read(WEB, first.cursor)
    assert len(first.execs) + len(second.execs) + first.missed + second.missed == TRACK_EXECS + 2
    assert [each.path for each in second.execs] == [b"/bin/later"] * 2


def test_an_exec_that_the_kernel_sent_before_it_knew_the_container_comes_first(
    maps: FakeTrackMaps, tracks: ExecTracks
) -> None:
    track = tracks.give(WEB)
    tracks.add_early(WEB, record(path=b"/bin/entry", time_ns=10, argv=(b"entry", b"--all")))
    maps.execute(track)
    found = tracks.read(WEB, START)
    assert [each.path for each in found.execs] == [b"/bin/entry", b"/bin/tool-1"]
    assert found.execs[0].argv == (b"entry", b"--all")
    assert tracks.read(WEB, found.cursor).execs == ()


def test_of_many_before_that_the_last_ones_are_kept(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    tracks.give(WEB)
    for number in range(EARLY_EXECS + 4):
        tracks.add_early(WEB, record(path=b"/bin/early-%d" % number, time_ns=number + 1))
    found = tracks.read(WEB, START)
    assert [each.path for each in found.execs] == [b"/bin/early-%d" % number for number in range(4, 20)]
    assert found.missed == 4


def test_a_sensor_that_is_started_again_goes_on_with_every_track(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    tracks.add_early(WEB, record(path=b"/bin/entry", time_ns=10))
    maps.execute(track)
    again = maps.tracks()
    again.switch(on=True)
    assert again.give(WEB) == track
    maps.execute(track, path=b"/bin/after")
    again.add_early(WEB, record(path=b"/bin/namespace", time_ns=5_000))
    assert paths(again, WEB) == ["/bin/entry", "/bin/tool-1", "/bin/after", "/bin/namespace"]


def test_while_it_is_off_nothing_is_kept_and_what_was_is_gone(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    maps.execute(track, path=b"/bin/secret", argv=b"secret")
    tracks.switch(on=False)
    assert tracks.give(WEB) == NO_TRACK
    assert tracks.read(WEB, START).execs == ()
    maps.execute(track, path=b"/bin/secret")  # by a registration from before
    assert not any(b"secret" in value for value in maps.values.values())


def test_what_an_earlier_sensor_left_is_forgotten_where_it_is_off_now(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    track = tracks.give(WEB)
    maps.execute(track, argv=b"secret")
    again = maps.tracks()
    assert again.is_on
    again.switch(on=False)
    maps.execute(track, argv=b"secret")
    assert not any(b"secret" in value for value in maps.values.values())


def test_a_container_beyond_the_last_track_takes_that_of_the_quietest(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    for number in range(TRACKS):
        maps.execute(tracks.give(f"container-{number}"), time_ns=1_000 if number == 77 else 2_000 + number)
    before = tracks.give("container-77")
    taken = tracks.give("one-more")
    assert taken.number == before.number
    assert taken.owner != before.owner
    maps.execute(before, path=b"/bin/of-the-other")
    assert paths(tracks, "one-more") == []
    assert paths(tracks, "container-77") == []
    assert paths(tracks, "container-78") == ["/bin/tool-1"]


def test_a_container_that_the_kernel_has_not_seen_run_anything_yet_is_not_the_quietest(
    maps: FakeTrackMaps, tracks: ExecTracks
) -> None:
    """Its first exec, which the kernel program sent, is in its track already."""
    for number in range(TRACKS):
        maps.execute(tracks.give(f"container-{number}"), time_ns=1_000)
    newest = tracks.give("newest")
    tracks.add_early("newest", record())
    tracks.give("one-more")
    assert tracks.give("newest") == newest
    assert len(paths(tracks, "newest")) == 1


def test_execs_that_the_kernel_skipped_are_missed_once(maps: FakeTrackMaps, tracks: ExecTracks) -> None:
    from sensor.capture.exec_tracks import TRACK

    track = tracks.give(WEB)
    maps.update(TRACKS_FD, track.number.to_bytes(4, "little"), TRACK.packed(**(maps.head(track) | {"skipped": 5})))
    found = tracks.read(WEB, START)
    assert found.missed == 5
    assert tracks.read(WEB, found.cursor).missed == 0


def test_a_container_that_lost_its_track_is_read_from_the_start_of_its_new_one(
    maps: FakeTrackMaps, tracks: ExecTracks
) -> None:
    maps.execute(tracks.give(WEB), 30)
    cursor = tracks.read(WEB, START).cursor
    tracks.switch(on=False)
    tracks.switch(on=True)
    maps.execute(tracks.give(WEB), path=b"/bin/first")
    found = tracks.read(WEB, cursor)
    assert ([each.path for each in found.execs], found.missed) == ([b"/bin/first"], 0)


def test_a_container_without_a_track_has_no_execs(tracks: ExecTracks) -> None:
    assert tracks.read("never-seen", START).execs == ()
