"""A thief who reads every byte between a child and its parent, and one who has even read the coordinator's state.

Real programs; the child reaches its forwarder through a relay of ours, which writes down all that passes. What was read
opens nothing, the thief is fed no record, and the honest child is not disturbed.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from overlaycast.wire import grants
from overlaycast.wire.frames import (
    EDGE,
    Call,
    Challenge,
    Data,
    Decoder,
    Enter,
    Frame,
    Hello,
    Knock,
    Proof,
    Refuse,
    encode,
)
from overlaycast.wire.grants import Bond, Nonces
from tests.coordinator.test_command import command, coordinator, group
from tests.coordinator.test_dead_member_real import Seats

FORWARDER: Final = "127.0.0.2"
WATCHED: Final = "127.0.0.1"
"""Where the coordinator sees the forwarder, and its child dials it: what comes here is written down, and passed on."""
HANDSHAKE: Final = 400
"""Bytes of either direction in which a link is opened, and some more."""
PATIENCE_S: Final = 90.0


class Wire:
    """Passes connections on, and writes down what passes."""

    def __init__(self, port: int) -> None:
        self.links: list[tuple[bytearray, bytearray]] = []
        """Of each connection what the one who dials says, and what it hears."""
        self._to = FORWARDER, port
        self._server = socket.create_server((WATCHED, port))
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
                there = socket.create_connection(self._to)
            except OSError:
                return
            self._open += [here, there]
            said, heard = bytearray(), bytearray()
            self.links.append((said, heard))
            for one, other, log in ((here, there, said), (there, here, heard)):
                threading.Thread(target=self._pass_on, args=(one, other, log), daemon=True).start()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket, log: bytearray) -> None:
        try:
            while data := one.recv(65536):
                log += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        for sock in self._open:
            sock.close()


def frames(data: bytes) -> list[Frame]:
    return Decoder().feed(data)


def heard_by(port: int, *said: bytes, wait_s: float = 4.0) -> list[Frame]:
    """Say this at the forwarder's own port; return what is answered until it closes."""
    with closing(socket.create_connection((FORWARDER, port))) as sock:
        sock.settimeout(wait_s)
        decoder, answers = Decoder(), list[Frame]()
        try:
            for piece in said:
                sock.sendall(piece)
            while data := sock.recv(65536):
                answers += decoder.feed(data)
                if sum(isinstance(frame, Data) for frame in answers) > 50:
                    break
        except OSError:
            pass
        return answers


def free_port() -> int:
    with closing(socket.create_server((FORWARDER, 0))) as sock:
        return int(sock.getsockname()[1])


def shown_and_proven(state: Path, parent: int, child: int) -> tuple[bytes, bytes]:
    """Return the grants of a pair, that which it would show and that which it proves, as only the coordinator can."""
    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)) as db:
        [(key,)] = db.execute("SELECT key FROM groups").fetchall()
        [(body,)] = db.execute("SELECT body FROM snapshots").fetchall()
    joined = next(member["joined_epoch"] for member in json.loads(body)["members"] if member["id"] == child)
    text = b"%d %d %d" % (parent, child, joined)
    made = [hashlib.blake2b(one, digest_size=16, key=key).digest() for one in (text, text + b" 2")]
    return made[0], made[1]


class Group:
    """A source, a forwarder, and a child that the forwarder feeds over a wire on which we listen."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.state, self.at = folder / "state", free_port()
        self._stack = stack
        _, self._port = stack.enter_context(coordinator(self.state))
        made = group(self.state, self._port, "create", "g", "--set", "rate_mbit=1", "--set", "source_out_degree=1")
        self._environment = {**os.environ, "OVERLAYCAST_TOKEN": made.stdout.strip()}
        self.wire = Wire(self.at)
        stack.callback(self.wire.close)
        seats = Seats(self.state, self._port)
        stack.callback(seats.close)
        self._start("relay", "g", "--name", "r", "--listen", f"{FORWARDER}:{self.at}")
        seats.until(lambda now: "r" in now, PATIENCE_S)
        self._start("send", "g", "--name", "s", "--synthetic", "300", "--rate", "1M", "--listen", "127.0.0.1:0")
        seats.until(lambda now: now["r"]["parent"] is not None, PATIENCE_S)
        self._start("join", "g", "--name", "kid", "--output", str(folder / "kid"), "--listen", "127.0.0.1:0")
        seats.until(lambda now: "kid" in now and bool(now["kid"]["receive_mbit"]), PATIENCE_S)
        ids = {name: seat["id"] for name, seat in seats.all().items()}
        assert seats.all()["kid"]["parent"] == ids["r"]
        self.bond = Bond("g", ids["r"], ids["kid"])

    def _start(self, *words: str) -> None:
        where = ("--coordinator", f"http://127.0.0.1:{self._port}")
        process = self._stack.enter_context(
            subprocess.Popen(command(*words, *where), env=self._environment, stderr=subprocess.DEVNULL)
        )
        self._stack.callback(process.kill)

    def grants(self, nonces: Nonces, enter: Enter) -> tuple[bytes, bytes]:
        """Return the grants of the pair, shown and proven; the state is written now and then."""
        until = time.monotonic() + PATIENCE_S
        while True:
            shown, proven = shown_and_proven(self.state, self.bond.parent, self.bond.child)
            if grants.enters(proven, self.bond, nonces, enter):
                return shown, proven
            assert time.monotonic() < until
            time.sleep(0.2)


def grows(log: bytearray, size: int) -> None:
    """Wait until so much has passed."""
    until = time.monotonic() + PATIENCE_S
    while len(log) < size:
        assert time.monotonic() < until, "the honest child is fed no more"
        time.sleep(0.05)


def test_what_is_read_on_the_way_opens_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = Group(tmp_path, stack)
        said, heard = one.wire.links[-1]
        grows(heard, 20_000)
        knock, enter, *_ = frames(bytes(said))
        challenge, proof, *_ = frames(bytes(heard))
        assert isinstance(knock, Knock)
        assert isinstance(enter, Enter)
        assert isinstance(challenge, Challenge)
        assert isinstance(proof, Proof)
        nonces = Nonces(knock.nonce, challenge.nonce)
        shown, proven = one.grants(nonces, enter)
        assert grants.answers(proven, one.bond, nonces, proof)
        for side in (bytes(said[:HANDSHAKE]), bytes(heard[:HANDSHAKE])):
            windows = [side[first : first + 16] for first in range(len(side) - 15)]
            assert not [part for part in windows if grants.enters(part, one.bond, nonces, enter)]
            assert proven not in side
            assert shown not in side

        attempts = {
            "the same again": (bytes(said[:HANDSHAKE]),),
            "the knock, then the rest": (bytes(said[:48]), bytes(said[48:HANDSHAKE])),
            "the grant of the state, shown": (encode(Hello(proven, 1 << 60, EDGE)),),
            "the grant that an older program would show": (encode(Hello(shown, 1 << 60, EDGE)),),
            "a parent's call": (encode(Call(proven)),),
        }
        before = len(one.wire.links)
        for attempt, pieces in attempts.items():
            answers = heard_by(one.at, *pieces)
            assert [frame for frame in answers if not isinstance(frame, Challenge | Refuse)] == [], attempt
        grows(heard, len(heard) + 20_000)
        assert len(one.wire.links) == before, "the honest child had to come again"
