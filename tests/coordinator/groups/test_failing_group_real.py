"""Real members of a group whose tree breaks while it runs: the stream goes on, and so does the group."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from overlaycast.coordinator.groups.overlays import Overlays
from overlaycast.overlay.overlay import Overlay
from tests.coordinator import conftest
from tests.coordinator.conftest import Running, Start, eventually


async def member(running: Running, token: str, folder: Path, command: str, name: str, *words: str) -> Process:
    options = ["--coordinator", running.url, "--name", name, "--listen", "127.0.0.1:0", *words]
    options += ["--journal", str(folder / name)]
    environment = {**os.environ, "OVERLAYCAST_TOKEN": token}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "overlaycast.cli", command, "demo", *options, env=environment, stderr=PIPE
    )


def entries(folder: Path, name: str, kind: str) -> list[dict[str, object]]:
    path = folder / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


async def test_the_stream_goes_on_and_the_group_comes_back(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(conftest, "FakeMaker", lambda: Overlays(allow_local=True))
    async with start() as running, asyncio.timeout(120):
        token = await running.create(settings={"rate_mbit": 1, "source_out_degree": 1})
        programs = [
            await member(running, token, tmp_path, "send", "s", "--synthetic", "600", "--rate", "1M"),
            await member(running, token, tmp_path, "join", "a", "--output", os.devnull),
        ]
        try:
            await eventually(lambda: entries(tmp_path, "a", "fed"))
            broken = running.groups.get("demo").overlay
            assert isinstance(broken, Overlay)
            assert broken._group.source is not None
            broken._group.source.size = 99
            # whoever comes has the tree checked
            programs.append(await member(running, token, tmp_path, "join", "b", "--output", os.devnull))
            await eventually(lambda: "set aside" in caplog.text)
            await eventually(lambda: entries(tmp_path, "b", "fed"))
            assert running.groups.get("demo").overlay is not broken
            await eventually(lambda: running.groups.get("demo").connected == 3)  # the others call again by themselves
            assert [program.returncode for program in programs] == [None, None, None]
        finally:
            for program in programs:
                if program.returncode is None:
                    program.send_signal(signal.SIGTERM)
            said = [(await program.communicate())[1].decode() for program in programs]
        assert running.failures == []
    assert entries(tmp_path, "a", "lost") == []
    assert len(entries(tmp_path, "a", "welcome")) == 1  # it is the member that it was
    assert all("coordinator http" not in text for text in said), said
    assert [program.returncode for program in programs[1:]] == [0, 0]
