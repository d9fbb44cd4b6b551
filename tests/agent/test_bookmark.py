"""What is believed about an output from an earlier run: what was noted and is still so, nothing else."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.bookmark import EVERY_BYTES, SUFFIX, Bookmark

CONTENT = bytes(range(250)) * 4


@contextmanager
def noted(folder: Path, group: str = "g") -> Iterator[tuple[Path, Bookmark]]:
    """An output of ten records of 100 bytes, noted; and the same output opened again for ``group``."""
    path = folder / "out"
    path.write_bytes(CONTENT)
    descriptor = os.open(path, os.O_RDWR)
    try:
        Bookmark(path, descriptor, "g").wrote(10, 1000, 100, hashlib.sha256(CONTENT), last=True)
        yield path, Bookmark(path, descriptor, group)
    finally:
        os.close(descriptor)


def test_what_was_noted_is_kept(tmp_path: Path) -> None:
    with noted(tmp_path) as (path, bookmark):
        path.write_bytes(CONTENT + b"written, but not noted")
        kept = bookmark.kept()
    assert kept is not None
    assert (kept.records, kept.size, kept.record_size) == (10, 1000, 100)
    assert kept.digest.digest() == hashlib.sha256(CONTENT).digest()


@pytest.mark.parametrize("content", [CONTENT[:-1], b"", CONTENT[:500] + b"?" + CONTENT[501:]])
def test_an_output_that_is_another_one_is_not_kept(tmp_path: Path, content: bytes) -> None:
    with noted(tmp_path) as (path, bookmark):
        path.write_bytes(content)
        assert bookmark.kept() is None


def test_a_note_of_another_group_is_not_ours(tmp_path: Path) -> None:
    with noted(tmp_path, group="h") as (_, bookmark):
        assert bookmark.kept() is None


def test_a_complete_output_has_no_note(tmp_path: Path) -> None:
    with noted(tmp_path) as (path, bookmark):
        bookmark.forget()
        bookmark.wrote(10, 1000, 100, hashlib.sha256(CONTENT), last=True)
        assert not path.with_name("out" + SUFFIX).exists()


def test_notes_are_rare(tmp_path: Path) -> None:
    with noted(tmp_path) as (path, _):
        note = path.with_name("out" + SUFFIX)
        note.unlink()
        descriptor = os.open(path, os.O_RDWR)
        bookmark = Bookmark(path, descriptor, "g")
        bookmark.wrote(1, 100, 100, hashlib.sha256())
        assert not note.exists()
        bookmark.wrote(EVERY_BYTES, EVERY_BYTES, 1, hashlib.sha256())
        assert note.exists()
        os.close(descriptor)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789eabcdgoprsu_-', max_size=200).map(str.encode))
def test_no_note_can_do_harm(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    with noted(tmp_path_factory.mktemp("note")) as (path, bookmark):
        path.with_name("out" + SUFFIX).write_bytes(text)
        assert bookmark.kept() is None
