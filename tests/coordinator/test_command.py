"""The real commands as real processes: start, bad input, kill and return, end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from overlaycast.wire.messages import (
    Assign,
    CoordinatorMessage,
    EchoReply,
    EchoRequest,
    MemberMessage,
    Report,
    Resume,
    Welcome,
)
from overlaycast.wire.text import decode_from_coordinator
from tests.coordinator.conftest import Member, subscription

OVERLAYCAST = [sys.executable, "-m", "overlaycast.cli"]


def command(*words: str | Path) -> list[str]:
    return [*OVERLAYCAST, *map(str, words)]


def run(*words: str | Path, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*prefix, *command(*words)], capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **env}
    )


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the one line that a refused command says."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


@contextlib.contextmanager
def coordinator(state: Path, *options: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start ``overlaycast coordinator`` and yield the process and its port."""
    words = command("coordinator", "--listen", "127.0.0.1:0", "--state", state, "--no-trace", *options)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"listening on 127\.0\.0\.1:(\d+) and", line)
        assert found, line
        yield process, int(found[1])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def group(state: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--coordinator", f"http://127.0.0.1:{port}", "--admin-token-file", str(state / "admin.token")]
    return run("group", *words, *where)


def test_from_start_to_sigterm(tmp_path: Path) -> None:
    state, journal = tmp_path / "state", tmp_path / "journal.jsonl"
    with coordinator(state, "--journal", journal) as (process, port):
        token_file = state / "admin.token"
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        made = group(state, port, "create", "demo", "--set", "rate_mbit=4", "--set", "mode=file", "--token-ttl", "60")
        assert made.returncode == 0, made.stderr
        assert re.fullmatch(r"[\w-]{32}\n", made.stdout)  # the token, alone
        assert "demo" in group(state, port, "list").stdout
        shown = json.loads(group(state, port, "show", "demo", "--json").stdout)
        assert (shown["settings"]["rate_mbit"], shown["settings"]["mode"]) == (4, "file")
        assert "epoch 0" in group(state, port, "tree", "demo").stdout
        assert "created" in group(state, port, "events", "demo").stdout
        over_socket = run(
            "group", "list", "--coordinator", f"unix:{state / 'admin.sock'}", "--admin-token-file", token_file
        )
        assert "demo" in over_socket.stdout
        assert group(state, port, "delete", "demo").returncode == 0
        assert json.loads(group(state, port, "list", "--json").stdout) == {"api_version": 1, "groups": []}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert not (state / "admin.sock").exists()
    kinds = [json.loads(line)["kind"] for line in journal.read_text().splitlines()]
    assert kinds == ["created", "deleted"]


def test_bad_input_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        line = complaint(run("coordinator", "--listen", listen, "--state", tmp_path, "--no-trace"), 2)
        assert listen in line
        assert "in use" in line
    assert "listen" in complaint(run("coordinator", "--listen", "nowhere", "--state", tmp_path), 2)
    assert "a..b:80: not a host name" in complaint(
        run("coordinator", "--listen", "a..b:80", "--state", tmp_path, "--no-trace"), 2
    )
    assert "colour" in complaint(run("coordinator", "--colour", "red"), 2)
    (tmp_path / "file").write_text("")
    assert "state" in complaint(run("coordinator", "--state", tmp_path / "file" / "x", "--no-trace"), 2)
    assert "journal" in complaint(
        run("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path, "--no-trace", "--journal", "/no/such/file"),
        2,
    )
    (tmp_path / "state.db").write_bytes(b"garbage " * 1000)
    assert "state.db" in complaint(run("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path, "--no-trace"), 2)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with coordinator(tmp_path):
        line = complaint(run("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path, "--no-trace"), 2)
        assert "another coordinator" in line


def without_raw_sockets() -> tuple[str, ...]:
    """Return what takes the privilege away from a command."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) takes the privilege away")
    return ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")


def test_without_raw_sockets_it_goes_on_without_traces_and_says_so(tmp_path: Path) -> None:
    words = [*without_raw_sockets(), *command("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "no traceroute, members are located by their addresses alone" in process.stderr.readline()
        line = process.stderr.readline()
        assert "traceroute off" in line
        port = re.search(r"listening on 127\.0\.0\.1:(\d+) and", line)
        assert port
        assert group(tmp_path, int(port[1]), "list").returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0


def test_without_raw_sockets_tracing_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    words = ("coordinator", "--trace", "--listen", "127.0.0.1:0", "--state", tmp_path)
    assert "CAP_NET_RAW" in complaint(run(*words, prefix=without_raw_sockets()), 3)


@pytest.mark.parametrize("stdout", ["/dev/full", "&-"])
def test_a_token_that_cannot_be_shown_leaves_no_group_behind(tmp_path: Path, stdout: str) -> None:
    state = tmp_path / "state"
    with coordinator(state) as (_, port):
        words = command("group", "create", "demo", "--coordinator", f"http://127.0.0.1:{port}")
        words += ["--admin-token-file", str(state / "admin.token")]
        made = subprocess.run(
            ["bash", "-c", f'"$@" >{stdout}', "_", *words], capture_output=True, text=True, timeout=300, check=False
        )
        assert made.returncode == 1
        assert "the group was deleted again" in made.stderr
        assert json.loads(group(state, port, "list", "--json").stdout)["groups"] == []


def test_administration_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with coordinator(state) as (_, port):
        assert "no group none" in complaint(group(state, port, "show", "none"), 2)
        assert "rate_mbit" in complaint(group(state, port, "create", "demo", "--set", "rate_mbit=-3"), 2)
        assert "accepted: mode, rate_mbit" in complaint(group(state, port, "create", "demo", "--set", "x=1"), 2)
        assert "KEY=VALUE" in complaint(group(state, port, "create", "demo", "--set", "x"), 2)
        assert "name" in complaint(group(state, port, "create", "a/b"), 2)
        assert "accepted: create, set" in complaint(group(state, port, "paint"), 2)
        (tmp_path / "wrong").write_text("not the token\n")
        assert "one token" in complaint(
            run("group", "list", "--coordinator", f"http://127.0.0.1:{port}", "--admin-token-file", tmp_path / "wrong"),
            2,
        )
        (tmp_path / "wrong").write_text("x" * 40)
        assert "does not accept" in complaint(
            run("group", "list", "--coordinator", f"http://127.0.0.1:{port}", "--admin-token-file", tmp_path / "wrong"),
            2,
        )
    token_file = state / "admin.token"
    gone = run("group", "list", "--coordinator", f"http://127.0.0.1:{port}", "--admin-token-file", token_file)
    assert "not reachable" in complaint(gone, 2)
    missing = run("group", "list", "--admin-token-file", tmp_path / "missing")
    assert "missing" in complaint(missing, 2)
    for nowhere in ("x", "http://a..b:80", "http://127.0.0.1:84\t70"):
        assert "accepted is http" in complaint(
            run("group", "list", "--coordinator", nowhere, "--admin-token-file", token_file), 2
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("INSERT OR REPLACE INTO snapshots VALUES ('demo', '{\"version\": 99}', 1)", "snapshot of version 99"),
        ("UPDATE groups SET settings = '{\"colour\": 1}' WHERE name = 'demo'", "colour: unknown setting"),
    ],
)
def test_a_group_of_another_time_is_set_aside_in_one_line_and_the_others_start(
    tmp_path: Path, change: str, said: str
) -> None:
    with coordinator(tmp_path) as (_, port):
        assert group(tmp_path, port, "create", "demo").returncode == 0
        assert group(tmp_path, port, "create", "other").returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.execute(change)
    words = command("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path, "--no-trace")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = [process.stderr.readline(), process.stderr.readline()]
            assert sum("demo" in line and said in line for line in lines) == 1
            port_named = re.search(r"listening on 127\.0\.0\.1:(\d+) and", "".join(lines))
            assert port_named
            listed = json.loads(group(tmp_path, int(port_named[1]), "list", "--json").stdout)
            assert [one["name"] for one in listed["groups"]] == ["other"]
        finally:
            process.kill()


# --- kill -9 -----------------------------------------------------------------------------------------------------


class ScriptedMember:
    """A member of a real group: returns echoes, reports that it is where it was told to be, keeps its orders."""

    def __init__(self, name: str, token: str, **subscribed: Any) -> None:
        self.name, self.token, self.subscribed = name, token, subscribed
        self.welcome: Welcome | None = None
        self.orders: list[Assign] = []
        self.placed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def linked(self, port: int) -> AsyncIterator[None]:
        self.placed.clear()
        async with connect(f"ws://127.0.0.1:{port}/v1/member", proxy=None, compression=None) as link:
            member = Member(link)
            await member.say(subscription(self.token, name=self.name, resume=self._resume(), **self.subscribed))
            listening = asyncio.create_task(self._listen(member))
            try:
                yield
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    def _resume(self) -> Resume | None:
        if self.welcome is None:
            return None
        order = self.orders[-1]
        parent = order.parent.member if order.parent else None
        return Resume(
            member=self.welcome.member,
            secret=self.welcome.secret,
            epoch=order.epoch,
            rank=order.rank,
            parent=parent,
            next_seq=100,
        )

    async def _listen(self, member: Member) -> None:
        async for text in member.socket:
            message = decode_from_coordinator(text)
            for answer in self._answers(message):
                await member.say(answer)

    def _answers(self, message: CoordinatorMessage) -> list[MemberMessage]:
        if isinstance(message, EchoRequest):
            return [EchoReply(nonce=message.nonce, payload=message.payload)]
        if isinstance(message, Welcome):
            self.welcome = message
        if not isinstance(message, Assign):
            return []
        self.orders.append(message)
        self.placed.set()
        parent = message.parent.member if message.parent else None
        state = "streaming" if parent is not None or self.subscribed.get("role") == "source" else "waiting"
        fields = {"epoch": message.epoch, "parent": parent, "state": state, "next_seq": 100}
        return [Report.model_validate({**fields, "interval_ms": 1000, "bytes": 0, "records": 0})]


async def test_a_coordinator_killed_in_the_middle_comes_back_and_moves_nobody(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(120):
        process, port = stack.enter_context(coordinator(state))
        token = (await asyncio.to_thread(group, state, port, "create", "demo")).stdout.strip()
        source = ScriptedMember("source", token, role="source")
        peers = [ScriptedMember(f"peer{number}", token) for number in range(4)]
        async with contextlib.AsyncExitStack() as links:
            for member in (source, *peers):
                await links.enter_async_context(member.linked(port))
                await member.placed.wait()
            before = json.loads((await asyncio.to_thread(group, state, port, "tree", "demo", "--json")).stdout)
            process.kill()
            process.wait()
        process, port = stack.enter_context(coordinator(state))
        async with contextlib.AsyncExitStack() as links:
            for member in (source, *peers):
                await links.enter_async_context(member.linked(port))
                await member.placed.wait()
            after = json.loads((await asyncio.to_thread(group, state, port, "tree", "demo", "--json")).stdout)
            newcomer = ScriptedMember("newcomer", token)
            await links.enter_async_context(newcomer.linked(port))
            await newcomer.placed.wait()
    assert len(before["members"]) == 5
    assert {m["id"]: m["parent"] for m in after["members"]} == {m["id"]: m["parent"] for m in before["members"]}
    assert after["epoch"] >= before["epoch"]
    assert newcomer.welcome is not None
    assert newcomer.welcome.member not in {m["id"] for m in before["members"]}


def test_a_terminal_that_is_closed_is_a_word_to_go(tmp_path: Path) -> None:
    with coordinator(tmp_path / "state") as (process, _):
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_nohup_is_kept(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with coordinator(tmp_path / "state") as (process, port):
            process.send_signal(signal.SIGHUP)
            assert group(tmp_path / "state", port, "list").returncode == 0
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
