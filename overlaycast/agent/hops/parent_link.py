"""One connection to a parent or a standby: dialled, greeted, read straight into the ring.

Owns: its socket and what is written to it (KNOCK, ENTER or HELLO, START, STOP, HEARTBEAT: small, bounded). Refuses: to
decide anything; what it hears goes to its listener, but nothing before the parent has proven that it knows the grant.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
import time
from collections.abc import Callable
from typing import Final, Protocol

from overlaycast.agent.hops.knocking import knock
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.sockets import connect_any
from overlaycast.agent.rates.moderation import PAUSE_S, Moderation, Polling
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunks import DamagedError
from overlaycast.agent.records.credible import UntrueError
from overlaycast.agent.records.intake import Intake
from overlaycast.errors import RemoteProtocolError
from overlaycast.failover.admission import proves
from overlaycast.wire import grants
from overlaycast.wire.frames import (
    DIGEST_SIZE,
    HEADER,
    HEADER_SIZE,
    IDLE,
    Decoder,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Proof,
    Refuse,
    Start,
    Stop,
    encode,
    payload_length,
)
from overlaycast.wire.grants import Bond, Identity, Nonces
from overlaycast.wire.messages import Peer, Untruth

MOST_UNSENT: Final = 4096
"""Bytes of our small frames that may wait; a link that takes not even those is dead."""


class ParentListener(Protocol):
    """Who is told what a parent link hears."""

    def arrived(self, link: ParentLink, arrival: Arrival) -> None:
        """Bytes were read and taken."""

    def lost(self, link: ParentLink, why: str, damaged: bool = False, untrue: Untruth | None = None) -> None:
        """The link is closed: it broke, it brought what is not the source's (``damaged``), or what cannot be."""

    def intake(self, link: ParentLink) -> Intake:
        """Return the link's way into the ring."""

    @property
    def forwards(self) -> bool:
        """Somebody waits for what we get."""


class ParentLink:
    """A hop upwards.

    Args:
        number: the link's number in ``Upstream``.
        resume: returns the point to go on from, asked when it is sent and not before.
        identity: who we are to this parent.

    ``late``: the parent says that what it gets is late.
    """

    def __init__(
        self,
        number: int,
        peer: Peer,
        listener: ParentListener,
        resume: Callable[[], int],
        identity: Identity = Identity(),  # noqa: B008 - it is frozen
    ) -> None:
        self.number = number
        self.peer = peer
        self.late = False
        self.bytes_in = 0
        self.paused = False
        self._intake = listener.intake(self)
        self._moderation = Moderation()
        self._polling = Polling()
        self._flows = False
        self._listener = listener
        self._resume = resume
        self._sock: socket.socket | None = None
        self._bond = Bond(identity.group, peer.member, identity.member)
        self._nonces: Nonces | None = None
        self._epoch = 0
        self._opening: Decoder | None = None
        self._opening_left = 0
        self._rank = 0
        self._unsent = bytearray()
        self._writing = False
        self._closed = False
        self._resting: asyncio.TimerHandle | None = None

    @property
    def called(self) -> bool:
        """The parent opens this connection; we could not."""
        return not self.peer.addresses

    @property
    def position(self) -> int:
        """The record that it has to bring next."""
        return self._intake.position

    # --- opening -----------------------------------------------------------------------------------------------

    async def dial(self, place: Callable[[], tuple[int, int]], permitted: Callable[[str], bool]) -> bool:
        """Connect to the first address that answers and greet with the place that we have then. False: none did.

        Args:
            place: returns epoch and rank of our order.
        """
        sock = await connect_any(self.peer.addresses, permitted)
        if sock is None:
            return self._closed
        nonces: Nonces | None = None
        if proves(self.peer.data_version) and not self._closed:
            try:
                nonces = await knock(sock, calls=False)
            except BaseException:
                sock.close()
                raise
            if nonces is None:
                sock.close()
                return self._closed
        if self._closed:
            sock.close()
        else:
            self.adopt(sock, place(), nonces)
        return True

    def adopt(self, sock: socket.socket, place: tuple[int, int], nonces: Nonces | None) -> None:
        """Greet over a connection that stands, as one that has this epoch and rank. ``nonces``: of the connection."""
        self._sock = sock
        self._nonces = nonces
        self._epoch, self._rank = place
        if nonces is not None:
            self._opening, self._opening_left = Decoder(), HEADER_SIZE
        resume = self._resume() if self._intake.feeding else IDLE
        digests = self._intake.feeding and self._intake.wants_digests
        asyncio.get_running_loop().add_reader(sock, self._readable)
        self._say(self._greeting(resume, digests))

    def _greeting(self, resume: int, digests: bool = False) -> Enter | Hello:
        grant = bytes.fromhex(self.peer.grant)
        if self._nonces is None:
            return Hello(grant, self._rank, resume, digests=digests)
        unproven = Enter(self._bond.child, self._epoch, self._rank, resume, b"", digests)
        return grants.enter(grant, self._bond, self._nonces, unproven)

    # --- talking -----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Greeted, not closed."""
        return self._sock is not None

    def start(self, seq: int | None = None) -> None:
        """Ask for records from the resume point, or from the mark ``seq``; before the greeting: greet so."""
        self._intake.feeding = True
        if self._sock is not None:
            self._say(Start(self._resume() if seq is None else seq, self._intake.wants_digests))

    def risen(self, rank: int) -> None:
        """Our rank has grown: greet again, so that the parent's own order need not refuse us."""
        if self._sock is not None and rank > self._rank:
            self._rank = rank
            self._say(self._greeting(IDLE))

    def stop(self) -> None:
        """Ask for no more records."""
        self._intake.feeding = False
        if self._sock is not None:
            self._say(Stop())

    def progress(self, next_seq: int) -> None:
        """Tell how far we are (liveness, and what the parent reports about its child)."""
        if self._sock is not None:
            self._say(Heartbeat(next_seq))

    def _say(self, frame: Frame) -> None:
        self._unsent += encode(frame)
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        if self._sock is None:
            return
        loop = asyncio.get_running_loop()
        try:
            sent = self._sock.send(self._unsent)
            del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self._break(error.strerror or "reset")
            return
        if len(self._unsent) > MOST_UNSENT:
            self._break("takes nothing")
        elif self._unsent and not self._writing:
            self._writing = True
            loop.add_writer(self._sock, self._flush)
        elif not self._unsent and self._writing:
            self._writing = False
            loop.remove_writer(self._sock)

    # --- listening ---------------------------------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """Bytes that have come and that we have not read."""
        if self._sock is None:
            return 0
        return int.from_bytes(fcntl.ioctl(self._sock, termios.FIONREAD, bytes(4)), sys.byteorder)

    def pause(self) -> None:
        """Read no more for now (file mode: our own sink is behind)."""
        if self._sock is not None and not self.paused:
            self.paused = True
            self._wake()
            asyncio.get_running_loop().remove_reader(self._sock)

    def go_on(self) -> None:
        """Read again."""
        if self._sock is not None and self.paused:
            self.paused = False
            asyncio.get_running_loop().add_reader(self._sock, self._readable)

    def read_what_is_there(self) -> None:
        """Read now, without waiting for the loop to say that there is something."""
        if not self.paused:
            self._read()

    def read_up(self) -> None:
        """Read all that has come by now; more may come meanwhile."""
        before, stop = -1, self.bytes_in + self.unread
        while before < self.bytes_in < stop and not self.paused:
            before = self.bytes_in
            self._read()

    def _readable(self) -> None:
        if self._moderation.pausing:
            # not by a timer: the loop's own are ten times as coarse, and nothing here is ever that urgent
            time.sleep(PAUSE_S)
        self._read()

    def _rest(self, seconds: float) -> None:
        """Read no more for so long; the kernel keeps what comes."""
        if seconds and self._sock is not None and self._resting is None and not self.paused:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock)
            self._resting = loop.call_later(seconds, self._rested)

    def _rested(self) -> None:
        """Read what has come; listen again unless another rest follows."""
        self._wake()
        self._read()
        if self._resting is None and self._sock is not None and not self.paused:
            asyncio.get_running_loop().add_reader(self._sock, self._readable)

    def _wake(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _read(self) -> None:
        try:
            self._take()
        except Exception as error:  # whatever it was: it came over this link, which ends, and no other
            mishap(error)
            self._break("a defect")

    def _take(self) -> None:
        if self._sock is None:
            return
        if self._opening is not None:
            self._hear_opening(self._sock, self._opening)
            return
        try:
            size = self._sock.recv_into(self._intake.buffer())
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error.strerror or "reset")
            return
        if size == 0:
            self._break("closed by the other side")
            return
        self.bytes_in += size
        try:
            arrival = self._intake.received(size)
        except RemoteProtocolError as error:
            damaged = isinstance(error, DamagedError)
            untrue: Untruth = error.what if isinstance(error, UntrueError) else "frame"
            self._break(str(error), damaged, None if damaged else untrue)
            return
        arrival.size = size
        now = time.monotonic()
        self._moderation.took(arrival.records, size, now)
        self._listener.arrived(self, arrival)
        self._flows = self._flows or arrival.records > 0  # before that every hop waits for the list of digests
        if self._flows and self._sock is not None and self._intake.due(0):
            kept = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            self._rest(self._polling.rest_s(size, now, self._listener.forwards, self._intake.due, kept))

    def _hear_opening(self, sock: socket.socket, opening: Decoder) -> None:
        """Read the parent's proof, or its refusal, and nothing beyond."""
        try:
            data = sock.recv(self._opening_left)
            if not data:
                self._break("closed by the other side")
                return
            self.bytes_in += len(data)
            self._opening_left -= len(data)
            for frame in opening.feed(data):
                self._opened(frame)
                return
            if not self._opening_left:
                kind, _, _, length, _, _ = HEADER.unpack(opening.peek())
                self._opening_left = payload_length(kind, length)
                if self._opening_left > DIGEST_SIZE:
                    self._break("no proof that it knows the grant")
        except BlockingIOError:
            pass
        except OSError as error:
            self._break(error.strerror or "reset")
        except RemoteProtocolError as error:
            self._break(str(error))

    def _opened(self, frame: Frame) -> None:
        nonces = self._nonces
        if isinstance(frame, Refuse):
            self._opening_left = HEADER_SIZE
            self._listener.arrived(self, Arrival(said=[frame]))
        elif (
            nonces is not None
            and isinstance(frame, Proof)
            and grants.answers(bytes.fromhex(self.peer.grant), self._bond, nonces, frame)
        ):
            self._opening = None
        else:
            self._break("no proof that it knows the grant")

    def _break(self, why: str, damaged: bool = False, untrue: Untruth | None = None) -> None:
        if not self._closed:
            self.close()
            self._listener.lost(self, why, damaged, untrue)

    def give_up(self, why: str, untrue: Untruth) -> None:
        """What it has said cannot be true."""
        self._break(why, untrue=untrue)

    def close(self) -> None:
        """Close without a word to the listener."""
        self._closed = True
        self._wake()
        self._intake.close()
        sock, self._sock = self._sock, None
        if sock is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock)
            loop.remove_writer(sock)
            sock.close()
