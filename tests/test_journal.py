"""A member's journal: appended to, dated, and given up when its disk is full."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from overlaycast.errors import ConfigError
from overlaycast.journal import MemberJournal
from overlaycast.wire.journal import ENTRY, Failure, Welcomed


def test_entries_are_appended_and_dated(tmp_path: Path) -> None:
    path, before = tmp_path / "anna.jsonl", time.time()
    for member in (3, 4):
        journal = MemberJournal(path)
        journal.write(Welcomed(member=member))
        journal.close()
        journal.write(Failure(reason="too late"))
    found = [ENTRY.validate_json(line) for line in path.read_text().splitlines()]
    assert [entry.model_copy(update={"t": 0.0}) for entry in found] == [Welcomed(member=3), Welcomed(member=4)]
    assert before - 1e-6 <= found[0].t <= found[1].t <= time.time() + 1e-6


def test_no_path_is_no_journal() -> None:
    journal = MemberJournal(None)
    journal.write(Welcomed(member=3))
    journal.close()


def test_a_full_disk_ends_the_journal_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    journal = MemberJournal(Path("/dev/full"))
    for member in range(3):
        journal.write(Welcomed(member=member))
    journal.close()
    assert capsys.readouterr().err == "overlaycast: journal given up: No space left on device\n"


def test_a_journal_that_cannot_be_opened_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^journal: .*: No such file or directory$"):
        MemberJournal(tmp_path / "no" / "such" / "folder")
