"""The data port: incoming connections, and which of them are admitted.

Owns: the listening socket and connections that have not yet proven a grant: few, and not for long; our nonce on each.
Refuses: garbage, and whatever ``failover.admission`` refuses or gives no verdict on within a moment.

Whoever knocks gets a nonce of ours, and learns nothing more before it has proven itself. A parent that cannot be
dialled connects too, with OFFER (or CALL): that connection is passed on to the side that looks for parents. A child
that we have called is admitted like any other, but must answer with the grant of the call. The coordinator connects
once to an address that we advertise (CHALLENGE), and is answered.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.sockets import tune
from overlaycast.errors import RemoteProtocolError
from overlaycast.failover.admission import HOLD_S, Admission
from overlaycast.wire.frames import (
    IDLE,
    NONCE_SIZE,
    SHOWN,
    VERSION,
    Call,
    Challenge,
    Decoder,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Knock,
    Offer,
    Proof,
    Refuse,
    RefuseCode,
    Start,
    Stop,
    encode,
)
from overlaycast.wire.grants import Nonces

ENTER_S: Final = 2.0
"""Seconds in which ENTER must have come."""
MOST_PENDING: Final = 128
"""From all addresses; beyond that the oldest connection of the address that has most makes room."""
ACCEPTS_PER_TURN: Final = 16
REST_S: Final = 0.1
"""Seconds without a look at the door, when there is no descriptor for another connection."""


@dataclass(frozen=True, slots=True)
class Called:
    """What we have said on a connection to a child that cannot dial us."""

    said: Call | Offer
    nonces: Nonces | None = None
    """Of the connection; None: the grant was shown."""


class DoorKeeper(Protocol):
    """What decides about connections on which a grant was proven or shown, as they say."""

    def verdict(self, said: Enter | Hello, nonces: Nonces | None) -> Admission | RefuseCode | None:
        """Return who it is, if it may come in; else why not. None: it waits. May raise nothing."""

    def admitted(self, sock: socket.socket, decoder: Decoder, admission: Admission, rank: int, asked: Start) -> None:
        """It is in, has this rank and asks for this; the socket is yours."""


@dataclass(slots=True, eq=False)
class _Guest:
    sock: socket.socket
    host: str = ""
    timer: asyncio.TimerHandle | None = None
    decoder: Decoder = field(default_factory=Decoder)
    nonces: Nonces | None = None
    said: Enter | Hello | None = None
    asked: Start = field(default_factory=lambda: Start(IDLE))
    called: Called | None = None
    done: Callable[[], None] | None = None


class Door:
    """The listening end.

    Args:
        answer: takes over a connection on which a parent has said this.
    """

    def __init__(
        self,
        sock: socket.socket,
        keeper: DoorKeeper,
        answer: Callable[[Call | Offer, Nonces | None, socket.socket], None],
    ) -> None:
        self.refused = 0
        self.prove: Callable[[Challenge], Proof] | None = None
        """Answers for us when the coordinator calls; None: nothing does."""
        self._sock = sock
        self._keeper = keeper
        self._answer = answer
        self._guests: dict[_Guest, None] = {}  # in order of coming
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._knock)

    @property
    def pending(self) -> int:
        """Connections without an accepted ENTER or HELLO."""
        return len(self._guests)

    def _knock(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._sock.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._rest()
                return
            tune(sock)
            self._welcome(sock, host=str(address[0]))
            if len(self._guests) > MOST_PENDING:
                self._make_room()

    def _make_room(self) -> None:
        """Dismiss the oldest of those that wait, of the address that has most of them."""
        waiting = [guest for guest in self._guests if guest.called is None]
        crowds = Counter(guest.host for guest in waiting)
        if crowds:
            crowd = crowds.most_common(1)[0][0]
            self._dismiss(next(guest for guest in waiting if guest.host == crowd))

    def _rest(self) -> None:
        """No descriptor is left: those who wait at the door are not looked at again at once, and again."""
        self._loop.remove_reader(self._sock)
        self._resting = self._loop.call_later(REST_S, self._loop.add_reader, self._sock, self._knock)

    def called(self, sock: socket.socket, called: Called, seconds: float, done: Callable[[], None]) -> None:
        """We have called a child on this connection: it has so long to answer. ``done``: it is in, or it is not."""
        self._welcome(sock, seconds, called, done)

    def _welcome(
        self,
        sock: socket.socket,
        seconds: float = ENTER_S,
        called: Called | None = None,
        done: Callable[[], None] | None = None,
        host: str = "",
    ) -> None:
        guest = _Guest(sock, host, nonces=called.nonces if called else None, called=called, done=done)
        guest.timer = self._loop.call_later(seconds, self._dismiss, guest)
        self._guests[guest] = None
        self._loop.add_reader(sock, self._listen, guest)

    def _listen(self, guest: _Guest) -> None:
        try:
            self._read(guest)
        except Exception as error:  # whatever it was: it came from this guest, who goes, and no other
            mishap(error)
            self._dismiss(guest)

    def _read(self, guest: _Guest) -> None:
        try:
            data = guest.sock.recv(4096)
            frames = guest.decoder.feed(data)
        except BlockingIOError:
            return
        except (OSError, RemoteProtocolError):
            self._dismiss(guest)
            return
        if not data:
            self._dismiss(guest)
        for frame in frames:
            if not self._hear(guest, frame):
                return
        if frames:
            self._decide(guest)

    def _hear(self, guest: _Guest, frame: Frame) -> bool:
        """False: nothing more to be heard from this one."""
        if guest.said is not None:
            return self._hear_more(guest, guest.said, frame)
        first = guest.nonces is None and guest.called is None
        match frame:
            case Challenge() if first and self.prove is not None:
                self._answer_challenge(guest, self.prove(frame))
                return False
            case Knock() if first:
                return self._answer_knock(guest, frame)
            case Call() if first:
                return self._pass_on(guest, frame)
            case Offer() if guest.called is None and guest.nonces is not None and guest.nonces.calls:
                return self._pass_on(guest, frame)
            case Hello() if first or _answers(frame, guest.called):
                if frame.version != SHOWN:
                    self._dismiss(guest, RefuseCode.VERSION)
                    return False
                return self._hold(guest, frame)
            case Enter() if guest.nonces is not None and guest.nonces.calls == (guest.called is not None):
                return self._hold(guest, frame)
        self._dismiss(guest, RefuseCode.PROTOCOL)
        return False

    def _hold(self, guest: _Guest, frame: Enter | Hello) -> bool:
        guest.said, guest.asked = frame, Start(frame.resume_from, frame.digests)
        self._stop_timer(guest)
        guest.timer = self._loop.call_later(HOLD_S, self._dismiss, guest, RefuseCode.UNKNOWN_GRANT)
        return True

    def _hear_more(self, guest: _Guest, said: Enter | Hello, frame: Frame) -> bool:
        """What it says while it is held: the last word counts."""
        match frame:
            case Enter() if isinstance(said, Enter) and frame.child == said.child:
                guest.said = frame  # its rank has grown
            case Hello() if isinstance(said, Hello) and frame.grant == said.grant:
                guest.said = frame
            case Start():
                guest.asked = frame
            case Stop():
                guest.asked = Start(IDLE)
            case Heartbeat():
                pass
            case _:
                self._dismiss(guest, RefuseCode.PROTOCOL)
                return False
        return True

    def _answer_knock(self, guest: _Guest, knock: Knock) -> bool:
        """Give a nonce of ours, which is for this connection alone: whoever repeats what was said on another fails."""
        if knock.version != VERSION:
            self._dismiss(guest, RefuseCode.VERSION)
            return False
        guest.nonces = Nonces(knock.nonce, secrets.token_bytes(NONCE_SIZE), knock.calls)
        try:
            guest.sock.send(encode(Challenge(guest.nonces.dialled)))
        except OSError:
            self._dismiss(guest)
            return False
        return True

    def _answer_challenge(self, guest: _Guest, answer: Proof) -> None:
        """The coordinator asks whether this is our data port; whoever else asks learns nothing."""
        if guest in self._guests:
            self._forget(guest)
            with suppress(OSError):
                guest.sock.send(encode(answer))
            guest.sock.close()

    def _pass_on(self, guest: _Guest, said: Call | Offer) -> bool:
        """A parent calls: it says no more before we have answered."""
        if guest.decoder.held:
            self._dismiss(guest)
        elif guest in self._guests:
            self._forget(guest)
            self._answer(said, guest.nonces, guest.sock)
        return False

    @staticmethod
    def _stop_timer(guest: _Guest) -> None:
        if guest.timer is not None:
            guest.timer.cancel()

    def announced(self) -> None:
        """A grant was announced, or our own rank is known now: look at those that wait."""
        for guest in list(self._guests):
            if guest.said is not None:
                self._decide(guest)

    def _decide(self, guest: _Guest) -> None:
        if guest.said is None or guest not in self._guests:
            return
        match self._keeper.verdict(guest.said, guest.nonces):
            case RefuseCode() as code:
                self._dismiss(guest, code)
            case Admission() as admission:
                self._forget(guest)
                self._keeper.admitted(guest.sock, guest.decoder, admission, guest.said.rank, guest.asked)

    def _forget(self, guest: _Guest) -> None:
        self._stop_timer(guest)
        self._guests.pop(guest, None)
        self._loop.remove_reader(guest.sock)
        if guest.done is not None:
            self._loop.call_soon(guest.done)

    def _dismiss(self, guest: _Guest, code: RefuseCode | None = None) -> None:
        if guest not in self._guests:
            return
        self._forget(guest)
        self.refused += 1
        if code is not None:
            with suppress(OSError):
                guest.sock.send(encode(Refuse(code)))
        guest.sock.close()

    def close(self) -> None:
        """Admit no more connections."""
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for guest in list(self._guests):
            self._dismiss(guest, RefuseCode.LEAVING)


def _answers(frame: Hello, called: Called | None) -> bool:
    """Whether a child shows the grant that we have shown it."""
    return called is not None and isinstance(called.said, Call) and called.said.grant == frame.grant
