"""The judges see what they are there for: a fuzz that cannot fail says nothing."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import programs
from tests.fuzz.campaign import Campaign, FoundError
from tests.fuzz.honest import Honest
from tests.fuzz.programs import Program
from tests.fuzz.requests import Requests, Route


async def program(folder: Path, code: str) -> Program:
    """Return a program that has done this; it ends, or waits."""
    log = folder / "p.err"
    text = f"import sys, time\n{code}\nsys.stderr.flush()\nprint('ready', flush=True)\ntime.sleep(60)"
    pipe = asyncio.subprocess.PIPE
    with log.open("wb") as err:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, stderr=err, stdout=pipe)
    assert process.stdout is not None
    if not await process.stdout.readline():
        await process.wait()
    return Program("p", ("join",), process, log)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("sys.exit(3)", "ended with 3"),
        ("print('Traceback (most recent call last):', file=sys.stderr)", "says: Traceback"),
        ("print('x' * (5 << 20), file=sys.stderr)", "bytes to stderr"),
        ("big = b'x' * (80 << 20)", "MiB; accepted"),
        ("files = [open('/dev/null') for _ in range(60)]", "descriptors; accepted"),
    ],
)
async def test_a_program_that_dies_complains_or_grows_is_found(
    tmp_path: Path, code: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(programs.RSS_MIB, "join", 60)
    monkeypatch.setitem(programs.DESCRIPTORS, "join", 50)
    one = await program(tmp_path, code)
    try:
        with pytest.raises(FoundError, match=found):
            one.judge()
    finally:
        await one.kill()


async def test_a_program_that_may_end_and_one_that_is_well_are_not(tmp_path: Path) -> None:
    one = await program(tmp_path, "sys.exit(1)")
    one.may_end.add(1)
    one.judge()
    other = await program(tmp_path, "pass")
    other.judge()
    assert 1 < other.most_mib < programs.RSS_MIB["join"]
    await other.kill()


@pytest.mark.parametrize(("received", "lost"), [(b"sent", 0), (b"sen", 0), (b"tens", 0), (b"sent", 1)])
def test_what_a_receiver_has_not_is_found(tmp_path: Path, received: bytes, lost: int) -> None:
    honest = Honest(tmp_path)
    honest.sent_bytes, honest.sent_sha256 = 4, hashlib.sha256(b"sent").hexdigest()
    (tmp_path / "near.out").write_bytes(received)
    (tmp_path / "near.journal").write_text(f'{{"kind": "summary", "lost": {lost}}}\n')
    if received == b"sent" and not lost:
        honest.compare("near")
        return
    with pytest.raises(FoundError):
        honest.compare("near")


async def test_an_answer_of_500_is_found_and_other_answers_are_not(tmp_path: Path) -> None:
    campaign = Campaign(1, 10, frozenset(), tmp_path / "steps")
    nothing: dict[str, Any] = {"paths": {}, "components": {"schemas": {}}}
    requests = Requests(campaign, Honest(tmp_path), nothing)
    asked = [(Route("GET", "/a", (), None), b"a"), (Route("GET", "/b", (), None), b"b")]
    requests.judge(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 Later\r\n\r\n", asked)
    with pytest.raises(FoundError, match="GET /b was answered with 500"):
        requests.judge(b"HTTP/1.1 404 No\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", asked)
    campaign.close()


async def test_only_the_sessions_that_are_named_run(tmp_path: Path) -> None:
    campaign = Campaign(1, 10, frozenset({"a:7", "a:3", "b:1"}), tmp_path / "steps")
    assert [campaign.name("a"), campaign.name("a"), campaign.name("a"), campaign.name("c")] == [
        "a:3",
        "a:7",
        None,
        None,
    ]
    assert not campaign.done.is_set()
    assert campaign.name("b") == "b:1"
    assert campaign.done.is_set()
    campaign.close()
