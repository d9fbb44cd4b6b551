"""One connection from a child: a cursor into the ring, pumped into a socket until it blocks.

Owns: the socket, the cursor, and the order of bytes on the link: the rest of a begun frame, then our own small
frames, then records. Refuses: to hold anything back for a slow child; the ring moves its cursor (live), or the
archive serves it (file).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.read_back import BATCH, Archive, ReadBack
from overlaycast.agent.hops.sockets import pace
from overlaycast.agent.rates.flood import Bucket
from overlaycast.agent.records.ring import Cursor, Gone, Ring
from overlaycast.errors import RemoteProtocolError
from overlaycast.failover.admission import Admission
from overlaycast.wire.frames import (
    BACK,
    EDGE,
    IDLE,
    OLDEST,
    Decoder,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Refuse,
    RefuseCode,
    Start,
    Stop,
    encode,
)

_NOTHING: Final = memoryview(b"")
TURN: Final = 2 * BATCH
"""Most bytes for a child that catches up before the others have their turn: more than one read brings."""

MOST_WORDS: Final = 200
WORDS_PER_S: Final = 50.0
"""Heartbeats and repeated greetings of a child: so many at once, and so many a second. A child says a few a second."""
MOST_ASKED: Final = 64
"""Questions (START, STOP) of a child that does not take the answers."""


class ChildLink:
    """A hop downwards.

    Args:
        sock: connected, tuned, its ENTER or HELLO read.
        decoder: the one that read that, with what may have come after it.
        admission: by which it has come in; with our own proof, which goes before all else.
        rank: the child's, as it has said; it may say a higher one later, by the same frame on this link.
        starved: tells whether nothing reaches us from above (the stalled flag).
        late: tells whether what reaches us is late.
        on_closed: told once when the link is gone.
        on_progress: told when the child says how far it is, and when it took what had been waiting.
    """

    def __init__(
        self,
        sock: socket.socket,
        decoder: Decoder,
        admission: Admission,
        rank: int,
        ring: Ring,
        archive: Archive | None,
        starved: Callable[[], bool],
        late: Callable[[], bool],
        on_closed: Callable[[ChildLink, str], None],
        on_progress: Callable[[ChildLink], None],
    ) -> None:
        self.admission = admission
        self.rank = rank
        self.cursor: Cursor | None = None
        self.next_seq = 0
        self.bytes_out = 0
        self.skipped_before = 0
        self.sent_at = 0.0
        self._sock: socket.socket | None = sock
        self._decoder = decoder
        self._ring = ring
        self._archive = archive
        self._back = ReadBack(archive, self._read_on, self.close) if archive is not None else None
        self._starved = starved
        self._late = late
        self._owes_state = False
        self._on_closed = on_closed
        self._on_progress = on_progress
        self._unsent = bytearray(b"" if admission.answer is None else encode(admission.answer))
        self._old_frames: memoryview | None = None
        self._blocked = False
        self._asked = 0
        self._words = Bucket(WORDS_PER_S, MOST_WORDS)
        self._wants_digests = False
        self._digests_told = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)

    @property
    def member(self) -> int:
        """The child's member id."""
        return self.admission.child

    @property
    def feeding(self) -> bool:
        """It wants records (a warm standby's child does not)."""
        return self.cursor is not None

    @property
    def skipped(self) -> int:
        """Records that this child was too slow for."""
        return self.skipped_before + (self.cursor.skipped if self.cursor else 0)

    # --- what the child asks -----------------------------------------------------------------------------------

    def begin(self, resume_from: int, digests: bool = False) -> None:
        """Answer ENTER, HELLO or START: take the place asked for, and say which record comes next.

        With ``digests`` what is known of their list goes first, once on each link: it is long, and not lost on the
        way. The rest follows as it becomes known (``pay_digests``), always before the records that need it.
        """
        self._leave_cursor()
        if digests:
            self._wants_digests = True
            self._add_digests()
        if resume_from != IDLE:
            try:
                self.cursor = self._place(resume_from)
            except Gone as gone:
                self._unsent += encode(Refuse(RefuseCode.GONE, gone.oldest))
        if self.cursor is None or self.cursor.seek is None:
            self._unsent += self._heartbeat()
        self.pump()

    def pay_digests(self) -> None:
        """More of the list of digests is known: send it if it was asked for, behind the frame that is half sent."""
        if self._wants_digests:
            if self.cursor is not None:
                self._ring.finish(self.cursor)
            self._add_digests()
            self.pump()

    def _add_digests(self) -> None:
        if self._archive is not None:
            frames, self._digests_told = self._archive.digests(self._digests_told)
            self._unsent += frames

    def _place(self, resume_from: int) -> Cursor:
        keeps = self._archive is not None
        if resume_from == EDGE:
            return self._ring.cursor_at_edge(keeps)
        if resume_from == OLDEST:
            return self._ring.cursor(self._ring.oldest, keeps)
        if resume_from >= BACK:
            return self._ring.cursor(self._ring.seq_back((resume_from - BACK) * 1000), keeps)
        return self._ring.cursor(resume_from, keeps)

    def _leave_cursor(self) -> None:
        """Give the cursor up; a frame that is half sent must be finished first."""
        cursor, self.cursor = self.cursor, None
        if cursor is None:
            return
        self._ring.finish(cursor)
        self._ring.drop(cursor)
        self.skipped_before += cursor.skipped
        rest = cursor.tail if cursor.tail is not None else self._old_frames
        self._old_frames = None
        self._forget_old()
        if rest is not None:
            # a tail exists only while none of our own frames is half sent: it goes first
            self._unsent[:0] = rest

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(65536)
            if not data:
                self.close("closed by the child")
                return
            for frame in self._decoder.feed(data):
                if self._sock is None:  # an earlier frame closed this link: create no cursor
                    return
                self._hear(frame)
        except BlockingIOError:
            return
        except (OSError, RemoteProtocolError) as error:
            self.close(str(error))
        except Exception as error:  # whatever it was: it came over this link, which ends, and no other
            mishap(error)
            self.close("a defect")

    def _hear(self, frame: Frame) -> None:
        if isinstance(frame, Heartbeat | Enter | Hello):  # those want no answer
            self._count_word()
        else:
            self._asked += 1
            if self._asked > MOST_ASKED:
                raise RemoteProtocolError("the child sends requests and reads no answers")
        match frame:
            case Enter() | Hello():  # said again: its rank has grown
                self.rank = max(self.rank, frame.rank)
                self._on_progress(self)
            case Start():
                self.begin(frame.resume_from, frame.digests)
                self._on_progress(self)
            case Stop():
                self._leave_cursor()
                self.pump()
                self._on_progress(self)
            case Heartbeat():
                self.next_seq = max(self.next_seq, frame.next_seq)
                self._on_progress(self)
            case _:
                raise RemoteProtocolError(f"{type(frame).__name__} from a child")

    def _count_word(self) -> None:
        if self._words.take(1, self._loop.time()) > 1.0:
            raise RemoteProtocolError("the child sends too many heartbeats")

    # --- sending -----------------------------------------------------------------------------------------------

    def pace(self, bytes_per_s: int) -> None:
        """Send no faster than so."""
        if self._sock is not None:
            pace(self._sock, bytes_per_s)

    def _heartbeat(self, seek: int | None = None) -> bytes:
        ring = self._ring
        number = self._offered() if seek is None else seek
        ended = seek is None and ring.end is not None
        return encode(Heartbeat(number, ring.oldest, self._starved(), seek is not None, self._late(), ended))

    def _offered(self) -> int:
        """Return the record after those that the child can have: a file's may still have to come from our disk."""
        behind = self.cursor.behind if self.cursor is not None else None
        return self._ring.position if behind is None else min(behind, self._ring.position)

    def breathe(self, now: float, every: float) -> float:
        """Send a heartbeat if nothing was sent for ``every`` seconds; return in how many the next may be due."""
        left = self.sent_at + every - now
        if left > 0:
            return left
        if not self._blocked and not self._unsent:
            self._unsent += self._heartbeat()
            self.pump()
        return every

    def tell_state(self) -> None:
        """Say now how we are; where the link is full, as soon as it takes more, behind a frame that is half sent."""
        if self._blocked:
            self._owes_state = True
            return
        self._unsent += self._heartbeat()
        self.pump()

    def pump(self) -> None:
        """Send what there is until the socket takes no more."""
        if self._blocked or self._sock is None:
            return
        try:
            if self._send_turn(self._sock):
                return
        except BlockingIOError:
            pass
        except OSError as error:
            self.close(error.strerror or "reset")
            return
        self._blocked = True
        self._loop.add_writer(self._sock, self._writable)

    def _send_turn(self, sock: socket.socket) -> bool:
        """Send for one turn. True: there is nothing more."""
        cursor = self.cursor
        if cursor is not None and not self._unsent and self._old_frames is None:
            newest = self._ring.newest(cursor)
            if newest is not None:
                return self._send_newest(sock, cursor, newest)
        turn = TURN
        while turn > 0:
            piece = self._next_bytes()[:turn]
            size = len(piece)
            if not size:
                return True
            sent = sock.send(piece)
            self._took(sent)
            turn -= sent
            if sent < size:
                return False
        return False

    def _send_newest(self, sock: socket.socket, cursor: Cursor, newest: memoryview) -> bool:
        """The usual case, short, as it runs with every read and child: what has just come, and nothing else."""
        size = len(newest)
        if not size:
            return True
        sent = sock.send(newest)
        cursor.offset += sent
        self.bytes_out += sent
        self.sent_at = self._loop.time()
        return sent == size

    def _writable(self) -> None:
        self._blocked = False
        if self._sock is not None:
            if self._owes_state:
                self._owes_state = False
                if self.cursor is not None:
                    self._ring.finish(self.cursor)
                self._unsent += self._heartbeat()
            self.pump()
            if not self._blocked and self._sock is not None:
                self._loop.remove_writer(self._sock)
            self._on_progress(self)

    def _next_bytes(self) -> memoryview | bytearray:
        """Return what goes next on the link."""
        if self._old_frames is not None:
            return self._old_frames
        cursor = self.cursor
        if cursor is None:
            return bytearray(self._unsent)
        if cursor.tail is not None:
            return cursor.tail
        if cursor.seek is not None:
            self._unsent += self._heartbeat(cursor.seek)
            cursor.seek = None
        if self._unsent:
            return bytearray(self._unsent)
        if cursor.behind is not None:
            return self._read_back(cursor)
        return self._ring.piece(cursor)

    def _read_back(self, cursor: Cursor) -> memoryview | bytearray:
        if self._ring.rejoin(cursor):
            self._forget_old()
            return self._next_bytes()
        if self._back is None or cursor.behind is None or (batch := self._back.take(cursor.behind)) is None:
            return _NOTHING
        self._old_frames, cursor.behind = batch
        return self._old_frames

    def _read_on(self) -> None:
        """Records read back are there."""
        if not self._blocked:
            self.pump()
            self._on_progress(self)  # it may have taken all of them, and what was in the ring as well

    def _forget_old(self) -> None:
        if self._back is not None:
            self._back.release()

    def _took(self, sent: int) -> None:
        self.bytes_out += sent
        self.sent_at = self._loop.time()
        cursor = self.cursor
        if cursor is not None and cursor.tail is not None and self._old_frames is None:
            self._ring.advance(cursor, sent)
        elif self._old_frames is not None:
            self._old_frames = self._old_frames[sent:] or None
        elif self._unsent:
            del self._unsent[:sent]
            if not self._unsent:
                self._asked = 0
        elif cursor is not None:
            self._ring.advance(cursor, sent)

    # --- the end -----------------------------------------------------------------------------------------------

    def refuse(self, code: RefuseCode) -> None:
        """Say no and close."""
        self._leave_cursor()
        self._unsent += encode(Refuse(code, self._ring.oldest))
        self.pump()
        self.close(code.name)

    def close(self, why: str) -> None:
        """Close the link."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        sock.close()
        self._forget_old()
        if self.cursor is not None:
            self._ring.drop(self.cursor)
            self.skipped_before += self.cursor.skipped
            self.cursor = None
        self._on_closed(self, why)
