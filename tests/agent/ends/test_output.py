"""A receiver's output: what a user has on disk is continued or refused, never emptied, replaced or followed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from overlaycast.agent.ends.naming import Segment, another, named, read_segment
from overlaycast.agent.ends.output import Output
from overlaycast.agent.ends.recording import CutRecording
from overlaycast.errors import ConfigError

NOON = time.struct_time((2026, 11, 28, 12, 0, 5, 5, 332, 0))


def record(output: Output, data: bytes, seq: int = 7) -> None:
    """Write what a sink would."""
    descriptor = output.open_live().descriptor(seq, len(data))
    os.write(descriptor, data)
    os.close(descriptor)


def test_a_live_recording_that_exists_is_continued_and_each_part_noted(tmp_path: Path) -> None:
    file = tmp_path / "news.ts"
    record(Output(str(file)), b"first", 100)
    record(Output(str(file)), b"second", 900)
    assert file.read_bytes() == b"firstsecond"
    parts = [json.loads(line) for line in (tmp_path / "news.ts.parts").read_text().splitlines()]
    assert [(part["offset"], part["record"]) for part in parts] == [(0, 100), (5, 900)]
    assert all(part["time"].endswith("+00:00") for part in parts)


def test_only_overwrite_empties(tmp_path: Path) -> None:
    file = tmp_path / "news.ts"
    file.write_bytes(b"old")
    record(Output(str(file), overwrite=True), b"new")
    assert file.read_bytes() == b"new"


def test_nothing_changes_before_the_group_answers(tmp_path: Path) -> None:
    file = tmp_path / "news.ts"
    file.write_bytes(b"old")
    Output(str(file), overwrite=True)
    Output(str(tmp_path / "other.ts"))
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["news.ts"]


def test_a_links_target_is_written_and_companions_stand_beside_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    link = tmp_path / "news.ts"
    link.symlink_to(disk / "real.ts")  # not there yet
    output = Output(str(link))
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")  # too late: the name was resolved at the start
    record(output, b"data")
    assert (disk / "real.ts").read_bytes() == b"data"
    assert (disk / "real.ts.parts").exists()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("companion", [".parts", ".digests", ".digests.new"])
def test_companions_are_not_followed(tmp_path: Path, companion: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f"out{companion}").symlink_to(victim)
    output = Output(str(tmp_path / "out"))
    assert output.known_list() is None
    output.keep_list(b"digests")
    record(output, b"data")
    assert victim.read_bytes() == b"precious"


def test_a_name_too_long_for_its_companions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output: the name has 250 bytes; accepted are up to 243 here"):
        Output(str(tmp_path / ("n" * 250)))
    Output(str(tmp_path / ("n" * 243)))


def test_two_programs_on_one_output(tmp_path: Path) -> None:
    file = tmp_path / "news.ts"
    first = Output(str(file))
    first.open_live().descriptor(1, 1)
    with pytest.raises(ConfigError, match="another program writes to it"):
        Output(str(file))


def test_a_file_group_does_not_replace_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "film"
    file.write_bytes(b"old")
    with pytest.raises(ConfigError, match="exists; accepted is another name, or --overwrite"):
        Output(str(file)).refuse_unless_named()
    with pytest.raises(ConfigError, match="another program"):
        Output(str(file), overwrite=True)  # the first one is still held


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("missing/out", "No such file or directory"), (".", "Is a directory"), ("loop", "Too many levels")],
)
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match=complaint):
        Output(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10m", Segment(seconds=600)),
        ("1.5h", Segment(seconds=5400)),
        ("100M", Segment(bytes=100_000_000)),
        ("1G", Segment(bytes=1_000_000_000)),
        (None, None),
    ],
)
def test_segment_texts(text: str | None, meant: Segment | None) -> None:
    assert read_segment(text) == meant


@pytest.mark.parametrize("text", ["", "10", "0s", "-1m", "nanm", "1e3s", "9" * 20 + "d", "10 m", "m"])
def test_segment_texts_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="as in 10m or 100M"):
        read_segment(text)


def test_names_with_the_time_in_them() -> None:
    assert named("a/news-%Y%m%dT%H%M%S.ts", NOON) == "a/news-20261128T120005.ts"
    assert named("news.ts", NOON) == "news.ts"
    assert named("a/news.ts", NOON, cut=True) == "a/news-20261128T120005.ts"
    assert named("100%%", NOON) == "100%"
    assert another("a/b.ts", 1) == "a/b.ts"
    assert another("a/b.ts", 3) == "a/b-3.ts"


def test_a_cut_recording_begins_new_files_and_touches_no_old_one(tmp_path: Path) -> None:
    began: list[tuple[str, int]] = []
    (tmp_path / "news.ts").write_bytes(b"old")
    output = Output(
        str(tmp_path / "news.ts"),
        segment=Segment(bytes=10),
        on_part=lambda path, seq: began.append((path.name, seq)),
    )
    destination = output.open_live()
    assert isinstance(destination, CutRecording)
    for seq in range(5):
        os.write(destination.descriptor(seq, 4), b"abcd")
    assert [seq for _, seq in began] == [0, 2, 4]
    assert len({name for name, _ in began}) == 3
    assert [(tmp_path / name).read_bytes() for name, _ in began] == [b"abcdabcd", b"abcdabcd", b"abcd"]
    assert (tmp_path / "news.ts").read_bytes() == b"old"


def test_a_cut_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="segment: accepted with an output that is a regular file"):
        Output("/dev/null", segment=Segment(bytes=10))
    with pytest.raises(ConfigError, match="segment: accepted in a live group"):
        Output(str(tmp_path / "a"), segment=Segment(bytes=10)).refuse_unless_named()


def test_a_segment_that_lasts() -> None:
    part = Segment(seconds=60)
    assert not part.full(59.9, 1 << 40, 1)
    assert part.full(60.0, 0, 1)
    assert not Segment(bytes=10).full(1e9, 0, 50)  # a record larger than a part still goes into one


def test_a_folder_with_a_date_is_made_when_its_day_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", lambda: NOON)
    output = Output(str(tmp_path / "%Y/%m%d/news.ts"), segment=Segment(bytes=4))
    assert not list(tmp_path.iterdir())
    parts = output.open_live()
    os.write(parts.descriptor(0, 4), b"noon")
    assert output.place == str(tmp_path / "2026/1128/news.ts")
    monkeypatch.setattr(time, "localtime", lambda: time.struct_time((2026, 11, 29, 0, 0, 0, 6, 333, 0)))
    os.write(parts.descriptor(1, 4), b"next")
    assert (tmp_path / "2026/1128/news.ts").read_bytes() == b"noon"
    assert (tmp_path / "2026/1129/news.ts").read_bytes() == b"next"


def test_a_folder_with_a_date_is_made_for_one_file_too(tmp_path: Path) -> None:
    record(Output(str(tmp_path / "%Y/news.ts")), b"data")
    assert [file.read_bytes() for file in tmp_path.glob("*/news.ts")] == [b"data"]


@pytest.mark.parametrize("name", ["%Y", "100%%", "file/%Y"])
def test_a_folder_that_cannot_be_made_is_told_at_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / time.strftime("%Y")).write_bytes(b"")
    (tmp_path / "100%").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"^output: .*: N"):
        Output(str(tmp_path / name / "x.ts"))


@pytest.mark.parametrize("segment", [None, Segment(seconds=1)])
@pytest.mark.parametrize("name", ["", ".", "..", "/", "nothing/", "./"])
def test_a_folder_is_no_output(name: str, segment: Segment | None) -> None:
    with pytest.raises(ConfigError, match=r"^output: "):
        Output(name, segment=segment)


def test_parts_that_begin_within_one_name_have_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``news-%Y.ts`` has one name for a year."""
    monkeypatch.setattr(time, "localtime", lambda: NOON)
    parts = CutRecording(str(tmp_path / "news-%Y.ts"), Segment(bytes=1), lambda path, seq: None)
    for seq in range(1200):
        os.write(parts.descriptor(seq, 1), b"x")
    assert len(list(tmp_path.iterdir())) == 1200
