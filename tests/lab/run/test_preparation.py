"""What a run prepares and reads: command lines, streams, the coordinator's tree, the settled tree after a fault."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from overlaycast.errors import ConfigError, LabError
from overlaycast.lab.commands import lab
from overlaycast.lab.experiment.experiment import FileStream, MediaStream, SyntheticStream
from overlaycast.lab.faults.aim import Ground
from overlaycast.lab.faults.faults import Kill
from overlaycast.lab.faults.tree import Tree
from overlaycast.lab.injection import Stage
from overlaycast.lab.run import media, programs
from overlaycast.lab.run.control import parse_tree
from overlaycast.lab.run.programs import Folders, Membership
from overlaycast.lab.run.progress import PlainProgress
from overlaycast.lab.run.timeline import Timeline
from tests.lab import made_up
from tests.lab.injection.test_injection import Wire

MEMBER = {"id": 3, "name": "202a", "role": "peer", "parent": 1, "rank": 5, "depth": 1, "primary": True}


def test_tree_of_the_coordinator() -> None:
    tree = parse_tree({"epoch": 4, "members": [MEMBER]}, lambda host: "north")
    assert (tree.epoch, tree.seats[0].host, tree.seats[0].site) == (4, "202a", "north")


def test_of_two_members_on_a_host_the_newest_counts() -> None:
    ghost = {**MEMBER, "id": 2, "parent": None}
    tree = parse_tree({"epoch": 4, "members": [MEMBER, ghost]}, lambda host: None)
    assert [seat.id for seat in tree.seats] == [3]


@pytest.mark.parametrize(
    "answer", [{}, {"epoch": 1}, {"epoch": 1, "members": [{"id": 1}]}, {"epoch": "x", "members": []}]
)
def test_a_tree_that_lacks_something_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(LabError, match="tree lacks something"):
        parse_tree(answer, lambda host: None)


def test_group_is_made_with_what_the_experiment_says(tmp_path: Path) -> None:
    chosen, _, _ = made_up.experiment()
    words = programs.create_group(chosen, Folders(tmp_path, tmp_path), 13)
    settings = {words[index + 1] for index, word in enumerate(words) if word == "--set"}
    assert settings == {"mode=live", "rate_mbit=8.4", "default_out_degree=3", "start_members=13"}


def test_a_video_goes_by_its_own_clock_and_bytes_by_a_rate(tmp_path: Path) -> None:
    chosen, _, _ = made_up.experiment()
    folders, membership = Folders(tmp_path, tmp_path), Membership("g", "http://k:1", "secret")
    gate = tmp_path / "gate"
    video = programs.send(chosen, "s", membership, folders, tmp_path / "v.ts", gate)
    assert "--rate" not in video
    stream = SyntheticStream(kind="synthetic", rate_mbit=2.5, record_size=1000)
    chosen = chosen.model_copy(update={"stream": stream})
    other = programs.send(chosen, "s", membership, folders, tmp_path / "b.bin", gate)
    assert other[other.index("--rate") + 1] == "2.5M"
    assert other[other.index("--record-size") + 1] == "1000"


def test_no_token_is_among_the_words_of_a_member(tmp_path: Path) -> None:
    """Other users of the host could read it, so a member would start itself again without it."""
    chosen, _, _ = made_up.experiment()
    folders, membership = Folders(tmp_path, tmp_path), Membership("g", "http://k:1", "secret")
    for words in (
        programs.send(chosen, "s", membership, folders, tmp_path / "v.ts", tmp_path / "gate"),
        programs.join("a", membership, folders, tmp_path / "gate", "-"),
        programs.backup("b", membership, folders, tmp_path / "gate"),
    ):
        assert not any("secret" in word for word in words)
        assert words[words.index("--config") + 1] == str(tmp_path / "gate")


def test_earlier_results_are_taken_away_and_nothing_else(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "out", tmp_path / "state")
    folders.make(["a"])
    old = [folders.journal("a"), folders.log("group"), folders.output("a"), folders.out / "result.json"]
    mine = folders.logs / "notes.txt"
    for file in (*old, mine):
        file.write_text("x")
    folders.make(["a"])
    assert not any(file.exists() for file in old)
    assert mine.exists()


def test_bytes_are_the_seeds_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stream = SyntheticStream(kind="synthetic", seconds=1, rate_mbit=0.5)
    said: list[str] = []
    first = media.prepared(stream, 7, tmp_path / "e" / "x.yaml", said.append)
    again = media.prepared(stream, 7, tmp_path / "e" / "x.yaml", said.append)
    other = media.prepared(stream, 8, tmp_path / "e" / "x.yaml", said.append)
    assert first == again
    assert first.stat().st_size == 62_500
    assert first.read_bytes() != other.read_bytes()
    assert len(said) == 2
    assert media.look_at(first, media=False).sha256 == hashlib.sha256(first.read_bytes()).hexdigest()


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stream\.path: no such file"):
        media.prepared(FileStream(kind="file", path="none.bin"), 1, tmp_path / "x.yaml", print)


def test_a_small_video_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = media.prepared(MediaStream(kind="media", seconds=1, rate_mbit=2), 1, tmp_path / "e" / "x.yaml", print)
    seen = media.look_at(clip, media=True)
    assert seen.media is not None
    assert [codec for codec, _ in seen.media] == ["h264", "aac"]
    assert seen.media[0][1] == 25
    assert seen.size % 188 == 0
    clip.write_bytes(clip.read_bytes()[: seen.size // 2])
    assert media.look_at(clip, media=True).media != seen.media


def test_what_never_came_is_an_empty_file(tmp_path: Path) -> None:
    assert media.look_at(tmp_path / "none", media=True).size == 0


def test_results_in_run_would_be_lost() -> None:
    with pytest.raises(ConfigError, match="a run has a /run of its own"):
        lab.main(["run", "experiments/figure-2a.yaml", "--out", "/run/x"])


class Scripted:
    """A coordinator whose tree changes with each question."""

    def __init__(self, trees: list[Tree]) -> None:
        self.trees = trees

    async def tree(self) -> Tree:
        """Return the next tree; the last one for ever."""
        return self.trees.pop(0) if len(self.trees) > 1 else self.trees[0]


async def test_tree_is_settled_when_nobody_hangs_on_the_dead(tmp_path: Path) -> None:
    _, cast, network = made_up.experiment()
    before = made_up.tree(made_up.START, cast, network, 1)
    after = made_up.tree(made_up.AFTER_KILL, cast, network, 2)

    class Gone:
        host = "202a"
        pid = 1
        returncode = -9

        def signal(self, number: int) -> None:
            return

        async def wait(self) -> int:
            return -9

    async def at_once(_: float) -> None:
        return

    async def never() -> None:
        raise AssertionError

    stage = Stage({"202a": Gone()}, Wire(), Gone, never)  # type: ignore[dict-item,arg-type]
    ground = Ground(made_up.topology(), cast.members, cast.source)
    timeline = Timeline(stage, Scripted([before, before, before, after]), PlainProgress(), network.site_of, ground)
    fault = Kill(action="kill", at_s=1, target="primary-with-largest-branch")
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        await timeline.play((("one", fault),), at_once, 0.0, None, group)
    done = timeline.done[0]
    assert done.target == "202a"
    assert done.before.epoch == 1
    assert done.after is not None
    assert done.after.epoch == 2
    assert timeline.gone == {"202a": "north"}


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg to make a video")
def test_most_of_a_video_of_variable_bitrate_is_in_its_key_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = MediaStream(kind="media", seconds=2, rate_mbit=2, bitrate="variable")
    clip = media.prepared(stream, 1, tmp_path / "e" / "x.yaml", print)
    assert 0.7 * 500_000 < clip.stat().st_size < 1.3 * 500_000
    words = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=size,flags", "-of", "csv=p=0"]
    told = subprocess.run([*words, str(clip)], capture_output=True, text=True, check=True).stdout.split()
    packets = [(int(size), "K" in flags) for size, flags, *_ in (line.split(",") for line in told)]
    assert sum(size for size, key in packets if key) > 0.9 * sum(size for size, _ in packets)
    assert media.look_at(clip, media=True).media is not None
