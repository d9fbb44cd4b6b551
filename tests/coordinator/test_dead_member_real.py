"""What `group tree` says of a forwarder whose program is gone, or stopped: within few reports that it is not active."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.coordinator.test_command import command, coordinator, group

REPORTS = 3
"""A member of which nothing was heard for so many reports is not active, but 2.5 s are granted."""
SLACK_S = 9.0
"""For the way there, on a busy machine; a fault of ours would take until the member is given up, 20 s and more."""


class Seats:
    """The tree, asked again and again."""

    def __init__(self, state: Path, port: int) -> None:
        token = (state / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=30)

    def all(self) -> dict[str, dict[str, Any]]:
        said = self._http.get("/v1/groups/g/tree").json()
        return {member["name"]: member for member in said["members"]}

    def close(self) -> None:
        self._http.close()

    def until(self, true: Callable[[dict[str, dict[str, Any]]], bool], seconds: float) -> float:
        """Return after how long this was so."""
        began = time.monotonic()
        while not true(self.all()):
            assert time.monotonic() - began < seconds, self.all()
            time.sleep(0.1)
        return time.monotonic() - began


@pytest.mark.parametrize(
    ("how", "feeds"), [(signal.SIGKILL, True), (signal.SIGKILL, False), (signal.SIGSTOP, False)], ids=str
)
def test_a_dead_forwarder_is_not_shown_as_active(tmp_path: Path, how: signal.Signals, feeds: bool) -> None:
    state = tmp_path / "state"
    with ExitStack() as stack:
        _, port = stack.enter_context(coordinator(state))
        degree = ("--set", "source_out_degree=1") if feeds else ()
        made = group(state, port, "create", "g", "--set", "rate_mbit=1", *degree)
        where = ["--coordinator", f"http://127.0.0.1:{port}", "--listen", "127.0.0.1:0"]
        environment = {**os.environ, "OVERLAYCAST_TOKEN": made.stdout.strip()}

        def start(*words: str) -> subprocess.Popen[bytes]:
            process = stack.enter_context(
                subprocess.Popen(command(*words, *where), env=environment, stderr=subprocess.DEVNULL)
            )
            stack.callback(process.kill)
            return process

        seats = Seats(state, port)
        stack.callback(seats.close)
        relay = start("relay", "g", "--name", "r")
        seats.until(lambda now: "r" in now, 60)
        start("send", "g", "--name", "s", "--synthetic", "120", "--rate", "1M")
        seats.until(lambda now: now["r"]["parent"] is not None, 60)
        start("join", "g", "--name", "p", "--output", str(tmp_path / "p"))
        seats.until(lambda now: "p" in now and bool(now["p"]["receive_mbit"]) and bool(now["r"]["receive_mbit"]), 60)
        assert (seats.all()["p"]["parent"] == seats.all()["r"]["id"]) == feeds
        seats.until(lambda now: {seat["state"] for seat in now.values()} == {"ACTIVE"}, 60)
        relay.send_signal(how)
        took = seats.until(lambda now: "r" not in now or now["r"]["state"] in ("SUSPECT", "SILENT"), 60)
        assert took <= max(REPORTS, 2.5) + SLACK_S
        seats.until(lambda now: now["s"]["state"] == now["p"]["state"] == "ACTIVE", 60)
