"""The builder's end of the wire process: start it with its descriptors, order changes, read its status.

Owns: the process and its control socket. Refuses: an unanswered or refused order, by ``LabError``. The
process ends with its control socket, hence also when we are killed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from overlaycast.errors import LabError
from overlaycast.lab.topology.shape import Shape

Direction = Literal["ab", "ba"]
_TIMEOUT_S: Final = 10.0
_ANSWER_LIMIT: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class WireLink:
    """A link for the wire: its name, the descriptors of its ends, the shape of both ways."""

    name: str
    a: int
    b: int
    ab: Shape
    ba: Shape


class WireProcess:
    """A running wire."""

    def __init__(self, links: Sequence[WireLink], seed: int = 0) -> None:
        """Start it and wait until it carries frames. The descriptors are handed over: they are closed here.

        Raises:
            LabError: it did not come up.
        """
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        self._control = ours
        self._control.settimeout(_TIMEOUT_S)
        self._answers = ours.makefile("rb")
        descriptors = [fd for link in links for fd in (link.a, link.b)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "overlaycast.lab.network.tapwire", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *descriptors),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us; the wire ends after us
            )
        for fd in descriptors:
            os.close(fd)
        specs = [
            {"name": link.name, "a": link.a, "b": link.b, "ab": link.ab.as_dict(), "ba": link.ba.as_dict()}
            for link in links
        ]
        self.priority = str(self.order({"seed": seed, "links": specs})["priority"])

    @property
    def pid(self) -> int:
        """The process's number, in our pid namespace."""
        return self._process.pid

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order and return the answer.

        Raises:
            LabError: no answer, or a refusal.
        """
        with self._lock:
            try:
                self._control.sendall(json.dumps(order).encode() + b"\n")
                line = self._answers.readline(_ANSWER_LIMIT)
            except OSError as error:
                raise LabError(f"the wire does not answer: {error}") from error
        if not line.endswith(b"\n"):
            raise LabError(f"the wire is gone (exit code {self._process.poll()})")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            raise LabError(f"the wire refused: {answer.get('error')}")
        return answer

    def change(self, link: str, direction: Direction, wish: Shape) -> None:
        """Give one direction another shape; returns when it holds."""
        self.order({"op": "shape", "link": link, "direction": direction, "shape": wish.as_dict()})

    def set_down(self, link: str, down: bool) -> None:
        """Cut or mend both directions; what is on its way is lost."""
        for direction in ("ab", "ba"):
            self.order({"op": "down", "link": link, "direction": direction, "down": down})

    def status(self) -> dict[str, Any]:
        """Return lateness, load, priority, and the counts and shape of each direction (``tapwire.Wire.status``)."""
        answer = self.order({"op": "status"})
        del answer["ok"]
        return answer

    def reset(self) -> None:
        """Start to count lateness and load anew; the counts of frames go on."""
        self.order({"op": "reset"})

    def close(self) -> None:
        """End it. Its interfaces vanish with it."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._answers.close()
        self._control.close()
        try:
            self._process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
