"""Bad input at the command line: one line on stderr and the exit code."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from overlaycast.agent.command import join, send
from overlaycast.agent.ends.output import Spool
from overlaycast.errors import ConfigError
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Ended, Leaving, Refused
from tests.agent.fake_coordinator import FakeCoordinator
from tests.agent.processes import AgentProcess

ANYWHERE = ["--coordinator", "http://127.0.0.1:9", "--token", "t"]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["g", "/no/such/file", *ANYWHERE], "/no/such/file: No such file or directory"),
        (["g", "/", *ANYWHERE], "/: is a folder; accepted: a file, or - for standard input"),
        (["g", "x", "--token", "t"], "overlaycast send: coordinator: required"),
        (["g", "x", *ANYWHERE, "--rate", "fast"], "accepted is a number of bits per second above 0 with k, M or G"),
        (["g", "x", *ANYWHERE, "--rate", "0"], "accepted is a number of bits per second above 0 with k, M or G"),
        (["g", "x", *ANYWHERE, "--record-size", "0"], "record-size: Input should be greater than or equal to 1"),
        (["g", __file__, *ANYWHERE, "--mode", "live"], "rate: required, the group is live and the input is no MPEG-TS"),
        (["g", "--synthetic", "3", *ANYWHERE], "rate: required with --synthetic, as in --rate 8M"),
        (
            ["g", "--synthetic", "3", "--standby", *ANYWHERE],
            "synthetic: not accepted with --standby, which",
        ),
        (["g", __file__, "--standby", *ANYWHERE], ": is a file; accepted with --standby: a pipe, a FIFO or a device"),
        (["bad name", "x", *ANYWHERE], "group"),
    ],
)
def test_bad_send(argv: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        send(argv)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["g", "--coordinator", "server:1", "--token", "t"], "coordinator: accepted is http://HOST:PORT"),
        (["g", "--coordinator", "http://a..b:80", "--token", "t"], "coordinator: accepted is http://HOST:PORT"),
        (["g", "--coordinator", "http://[::1", "--token", "t"], "coordinator: accepted is http://HOST:PORT"),
        (["g", *ANYWHERE, "--output", "/no/such/folder/x"], "output: /no/such/folder/x: No such file or directory"),
        (["g", *ANYWHERE, "--journal", "/no/such/folder/x"], "journal: /no/such/folder/x: No such file or directory"),
        (["g", *ANYWHERE, "--congestion", "haste", "--output", "/dev/null"], "congestion: no 'haste' here; accepted: "),
        (["g", *ANYWHERE, "--advertise", "a..b"], "advertise: accepted is an IP address or a host name"),
        (["g", *ANYWHERE, "--advertise", "127.1"], "advertise: accepted is an IP address or a host name"),
        (["g", *ANYWHERE, "--advertise", "ü" * 64], "advertise: accepted is an IP address or a host name"),
        (["g", *ANYWHERE, "--listen", "nowhere"], "listen: accepted is HOST:PORT or [IPV6]:PORT"),
        (["g", *ANYWHERE, "--listen", "203.0.113.7:0"], "listen: 203.0.113.7:0: Cannot assign requested address"),
    ],
)
def test_bad_join(argv: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        join(argv)
    assert line in str(caught.value)


def test_port_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"listen: 127.0.0.1:{port}: Address already in use"):
            join(["g", *ANYWHERE, "--listen", f"127.0.0.1:{port}"])


@pytest.mark.parametrize("code", ["bad-token", "expired-token", "unknown-group"])
async def test_refusal_is_one_line_and_code_2(tmp_path: Path, code: str) -> None:
    refused = Refused.model_validate({"code": code, "reason": f"it is {code}"})
    async with FakeCoordinator(refuse=refused) as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "a")
        assert await agent.ended() == (2, f"overlaycast: coordinator refused: it is {code}\n")


async def test_coordinator_not_there_is_said_and_waited_for(tmp_path: Path) -> None:
    coordinator = FakeCoordinator()
    url = coordinator.url
    agent = await AgentProcess.start(tmp_path, url, "join", "a")
    try:
        async with asyncio.timeout(90):
            while "not reachable, waiting" not in agent.stderr:  # noqa: ASYNC110 (a file tells no events)
                await asyncio.sleep(0.05)
        async with coordinator:
            await coordinator.joined("a")
            agent.signal(signal.SIGTERM)
            code, err = await agent.ended()
            assert code == 0
            assert f"coordinator {url} reached" in err
    finally:
        await agent.end()


async def test_live_file_without_a_clock_needs_a_rate(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no transport stream" * 100)
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "send", "s", str(tmp_path / "noise"))
        code, err = await agent.ended()
        [line] = err.splitlines()
        assert (code, "rate: required, the group is live" in line) == (2, True)


async def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    """Nothing is mapped at the beginning of this one."""
    async with FakeCoordinator() as coordinator:
        words = ("send", "s", "/proc/self/mem", "--rate", "8M")
        agent = await AgentProcess.start(tmp_path, coordinator.url, *words)
        await coordinator.joined("s")
        await coordinator.begin("s")
        code, err = await agent.ended()
        assert (code, err.splitlines()[-1]) == (2, "overlaycast: /proc/self/mem: Input/output error")
        assert "Traceback" not in err


def test_a_relay_without_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(ConfigError, match=r"^TMPDIR: No such file or directory; accepted is a folder that can be"):
        Spool()


async def test_mode_must_be_the_groups(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1000)
    async with FakeCoordinator(GroupSettings(mode="live")) as coordinator:
        agent = await AgentProcess.start(
            tmp_path, coordinator.url, "send", "s", str(tmp_path / "data"), "--mode", "file"
        )
        code, err = await agent.ended()
        assert code == 2
        assert err.splitlines()[-1] == "overlaycast: mode: the group is live, accepted: live (got file)"


async def test_a_deleted_group_ends_its_members(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "a")
        (member,) = await coordinator.joined("a")
        await member.send(Ended(reason="deleted by the operator"))
        code, err = await agent.ended()
        assert code == 1
        assert err.splitlines()[-1] == "overlaycast: the group is over: deleted by the operator"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_interrupted_before_there_is_anything_to_leave(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        agent = await AgentProcess.start(tmp_path, url, "join", "a")
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            agent.signal(number)
            assert (await agent.ended())[0] == code


async def test_a_terminal_that_is_closed_is_a_word_to_go(tmp_path: Path) -> None:
    async with FakeCoordinator() as coordinator:
        agent = await AgentProcess.start(tmp_path, coordinator.url, "join", "a")
        await coordinator.joined("a")
        agent.signal(signal.SIGHUP)
        assert (await coordinator.said("a", Leaving)).reason == "told to go (SIGHUP)"
        assert (await agent.ended())[0] == 0
