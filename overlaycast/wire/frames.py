"""The data link's binary frames and a decoder that may be fed any bytes in any portions.

Owns: the layout of a frame, its bounds, and the only error that garbage may cause (``RemoteProtocolError``).
Refuses: any meaning. The two ends of a hop decide which frame may come when.

Every frame starts with the same 24 bytes, network order:

    kind u8 | flags u8 | incarnation u16 | length u32 | seq u64 | time_us u64      then `length` bytes of payload

DATA and END are written once, at the source, and pass every hop byte for byte; all other kinds belong to one hop.
``seq`` counts a group's records from 0 without gaps; END takes the number after the last record, so that a child
resumes to it as to any record. ``time_us`` is the source's wall clock (microseconds since 1970) in DATA and END.

Invariants: a frame that encodes decodes to itself; no header announces more than ``MAX_PAYLOAD`` of its kind, so a
decoder never holds more than one frame and what was fed at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from overlaycast.errors import LocalProtocolError, RemoteProtocolError

MAGIC: Final = b"OCST"
VERSION: Final = 2
"""Since 2 a grant is proven (KNOCK, CHALLENGE, ENTER or OFFER, PROOF); in 1 it was shown (HELLO, CALL)."""
SHOWN: Final = 1
"""The version in which grants are shown: still spoken with members that know no other."""

HEADER: Final = struct.Struct("!BBHIQQ")
HEADER_SIZE: Final = HEADER.size
MAX_RECORD: Final = 65_536
TS_PACKET: Final = 188
"""Bytes of an MPEG-TS packet: the smallest usual record."""
GRANT_SIZE: Final = 16
DIGEST_SIZE: Final = 32
NONCE_SIZE: Final = 16

SEQ_LIMIT: Final = 1 << 63
"""Record numbers are below this; the numbers above are the marks that follow."""
IDLE: Final = (1 << 64) - 1
"""HELLO/ENTER from nowhere: stay connected and send nothing until START (a warm standby)."""
EDGE: Final = (1 << 64) - 2
"""HELLO/ENTER/START from the live edge: the next record that arrives."""
OLDEST: Final = (1 << 64) - 3
"""HELLO/ENTER/START from the oldest record still held."""
BACK: Final = 3 << 62
"""HELLO/ENTER/START from ``BACK + n``: n milliseconds behind the newest record, or from the oldest still held."""
BACK_LIMIT: Final = 1 << 32
"""Milliseconds back are below this."""

STALLED: Final = 0x01
"""HEARTBEAT flag: the sender lives, but its own parent is silent. The branch flag of Fig. 8, made local."""
SEEK: Final = 0x02
"""HEARTBEAT flag, parent to child: the next record on this link is ``next_seq``. It answers HELLO, ENTER and START, and
goes before a record that is not the one after the last; so a child always knows which number comes, and what it
missed."""
LATE: Final = 0x04
"""HEARTBEAT flag, parent to child: what the sender gets is itself late, so the child need not blame this link."""
ENDED: Final = 0x08
"""HEARTBEAT flag, parent to child: the sender has the END."""
WANTS_DIGESTS: Final = 0x01
"""HELLO/ENTER/START flag, file groups: send the list of digests, each before the records of its chunk."""
CALLS: Final = 0x01
"""KNOCK flag: who knocks is the parent, and wants to be let in as such."""


class Kind(IntEnum):
    """The first byte of a frame."""

    HELLO = 1
    START = 2
    STOP = 3
    DATA = 4
    HEARTBEAT = 5
    END = 6
    REFUSE = 7
    CALL = 8
    DIGESTS = 9
    CHALLENGE = 10
    PROOF = 11
    KNOCK = 12
    ENTER = 13
    OFFER = 14


class RefuseCode(IntEnum):
    """Why a parent refuses a child on the data link."""

    VERSION = 1
    UNKNOWN_GRANT = 2
    FULL = 3
    RANK = 4
    GONE = 5
    LEAVING = 6
    PROTOCOL = 7


@dataclass(frozen=True, slots=True)
class Hello:
    """Version 1, child to parent, first: its grant, its rank, and the record number from which it goes on.

    ``resume_from`` is a record number, or ``IDLE``, ``EDGE``, ``OLDEST`` or ``BACK + n``. A parent whose own rank is
    not below ``rank`` refuses: that check makes a cycle impossible (see docs/ALGORITHM.md).
    """

    grant: bytes
    rank: int
    resume_from: int
    version: int = SHOWN
    digests: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Child to parent: send everything from ``resume_from`` on; with ``digests`` their list first."""

    resume_from: int
    digests: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Child to parent: send no more records; the link stays open as a standby."""


@dataclass(frozen=True, slots=True)
class Data:
    """One record of the stream: 1 to 65536 bytes."""

    seq: int
    time_us: int
    payload: bytes
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Either way while idle. ``next_seq`` is what the sender expects next; ``oldest`` the oldest it holds.

    With ``seek``, ``next_seq`` is the number of the next record on this link. ``late``: what the sender gets is late.
    ``ended``: the sender has the END.
    """

    next_seq: int
    oldest: int = 0
    stalled: bool = False
    seek: bool = False
    late: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The stream is complete: records ``first_seq`` .. ``seq - 1`` of this source, with their SHA-256."""

    seq: int
    time_us: int
    first_seq: int
    digest: bytes
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """Parent to child, last: no, and why. ``oldest`` matters for ``GONE``: the oldest record still held."""

    code: RefuseCode
    oldest: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """Version 1: first frame of a connection that the *parent* dialled, where only the child can be reached."""

    grant: bytes


@dataclass(frozen=True, slots=True)
class Digests:
    """Parent to child, file groups: a piece of the list of digests (``messages.Contents``), ``offset`` bytes in."""

    offset: int
    piece: bytes


@dataclass(frozen=True, slots=True)
class Challenge:
    """First and only frame of a connection that the coordinator opened: is this member's data port here? And what a
    member answers to KNOCK."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """The answer to a coordinator's ``Challenge``: the nonce's hash, keyed with the member's secret (``wire.proof``).

    Also the first frame with which a parent answers ENTER: that it knows the grant (``wire.grants``).
    """

    digest: bytes


@dataclass(frozen=True, slots=True)
class Knock:
    """First frame of whoever dials: a fresh nonce, and nothing of who it is. ``calls``: it is the parent."""

    nonce: bytes
    version: int = VERSION
    calls: bool = False


@dataclass(frozen=True, slots=True)
class Enter:
    """Child to parent: that it knows the grant of this pair (``wire.grants``), and the same as in HELLO.

    Said again on the same link, it brings a rank that has grown. ``epoch`` is that of the child's order.
    """

    child: int
    epoch: int
    rank: int
    resume_from: int
    proof: bytes
    digests: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """Parent to child, where the parent has dialled: that it knows the grant of this pair. The child answers ENTER."""

    parent: int
    epoch: int
    proof: bytes


Frame = (
    Hello | Start | Stop | Data | Heartbeat | End | Refuse | Call | Digests | Challenge | Proof | Knock | Enter | Offer
)

_HELLO_BODY: Final = struct.Struct(f"!4sB3xQ{GRANT_SIZE}s")
_KNOCK_BODY: Final = struct.Struct(f"!4sB3x{NONCE_SIZE}s")
_ENTER_BODY: Final = struct.Struct(f"!QQQ{DIGEST_SIZE}s")
_OFFER_BODY: Final = struct.Struct(f"!QQ{DIGEST_SIZE}s")
_OLDEST_BODY: Final = struct.Struct("!Q")
_END_BODY: Final = struct.Struct(f"!Q{DIGEST_SIZE}s")

# kind -> (least, most) payload bytes; a header outside is garbage, whatever its length field says.
_PAYLOAD_BOUNDS: Final[dict[int, tuple[int, int]]] = {
    Kind.HELLO: (_HELLO_BODY.size, _HELLO_BODY.size),
    Kind.START: (0, 0),
    Kind.STOP: (0, 0),
    Kind.DATA: (1, MAX_RECORD),
    Kind.HEARTBEAT: (_OLDEST_BODY.size, _OLDEST_BODY.size),
    Kind.END: (_END_BODY.size, _END_BODY.size),
    Kind.REFUSE: (_OLDEST_BODY.size, _OLDEST_BODY.size),
    Kind.CALL: (GRANT_SIZE, GRANT_SIZE),
    Kind.DIGESTS: (1, MAX_RECORD),
    Kind.CHALLENGE: (NONCE_SIZE, NONCE_SIZE),
    Kind.PROOF: (DIGEST_SIZE, DIGEST_SIZE),
    Kind.KNOCK: (_KNOCK_BODY.size, _KNOCK_BODY.size),
    Kind.ENTER: (_ENTER_BODY.size, _ENTER_BODY.size),
    Kind.OFFER: (_OFFER_BODY.size, _OFFER_BODY.size),
}


# whose payload is one value of a fixed size
_SECRETS: Final[dict[Kind, type[Call | Challenge | Proof]]] = {
    Kind.CALL: Call,
    Kind.CHALLENGE: Challenge,
    Kind.PROOF: Proof,
}


def payload_length(kind: int, length: int) -> int:
    """Return ``length`` if a frame of ``kind`` may carry it.

    Raises:
        RemoteProtocolError: unknown kind, or a length outside the kind's bounds.
    """
    bounds = _PAYLOAD_BOUNDS.get(kind)
    if bounds is None:
        raise RemoteProtocolError(f"unknown frame kind {kind}")
    if not bounds[0] <= length <= bounds[1]:
        raise RemoteProtocolError(f"{Kind(kind).name} frame of {length} bytes; accepted: {bounds[0]} to {bounds[1]}")
    return length


def data_header(seq: int, time_us: int, length: int, incarnation: int = 0) -> bytes:
    """Return the 24 bytes before a record's payload of ``length`` bytes (1 to 65536).

    Raises:
        LocalProtocolError: our own record is out of bounds.
    """
    if not 1 <= length <= MAX_RECORD:
        raise LocalProtocolError(f"a record has 1 to {MAX_RECORD} bytes, not {length}")
    if not 0 <= seq < SEQ_LIMIT:
        raise LocalProtocolError(f"record number {seq} is out of range")
    return HEADER.pack(Kind.DATA, 0, incarnation, length, seq, time_us)


def encode(frame: Frame) -> bytes:
    """Return the bytes of one frame.

    Raises:
        LocalProtocolError: a field is out of its bounds.
    """
    try:
        return _encode(frame)
    except struct.error as error:
        raise LocalProtocolError(f"{frame!r}: {error}") from None


def _encode(frame: Frame) -> bytes:
    match frame:
        case Data():
            header = data_header(frame.seq, frame.time_us, len(frame.payload), frame.incarnation)
            return header + frame.payload
        case Heartbeat():
            body = _OLDEST_BODY.pack(frame.oldest)
            flags = STALLED * frame.stalled | SEEK * frame.seek | LATE * frame.late | ENDED * frame.ended
            return _pack(Kind.HEARTBEAT, body, flags=flags, seq=frame.next_seq)
        case Hello():
            _check_size("grant", frame.grant, GRANT_SIZE)
            body = _HELLO_BODY.pack(MAGIC, frame.version, frame.rank, frame.grant)
            return _pack(Kind.HELLO, body, flags=WANTS_DIGESTS * frame.digests, seq=frame.resume_from)
        case Start():
            return _pack(Kind.START, flags=WANTS_DIGESTS * frame.digests, seq=frame.resume_from)
        case Stop():
            return _pack(Kind.STOP)
        case End():
            _check_size("digest", frame.digest, DIGEST_SIZE)
            body = _END_BODY.pack(frame.first_seq, frame.digest)
            return _pack(Kind.END, body, 0, frame.incarnation, frame.seq, frame.time_us)
        case Refuse():
            return _pack(Kind.REFUSE, _OLDEST_BODY.pack(frame.oldest), flags=frame.code)
        case Digests():
            return _pack(Kind.DIGESTS, frame.piece, seq=frame.offset)
    return _encode_secret(frame)


def _encode_secret(frame: Call | Challenge | Proof | Knock | Enter | Offer) -> bytes:
    match frame:
        case Knock():
            _check_size("nonce", frame.nonce, NONCE_SIZE)
            body = _KNOCK_BODY.pack(MAGIC, frame.version, frame.nonce)
            return _pack(Kind.KNOCK, body, flags=CALLS * frame.calls)
        case Enter():
            _check_size("proof", frame.proof, DIGEST_SIZE)
            body = _ENTER_BODY.pack(frame.rank, frame.epoch, frame.child, frame.proof)
            return _pack(Kind.ENTER, body, flags=WANTS_DIGESTS * frame.digests, seq=frame.resume_from)
        case Offer():
            _check_size("proof", frame.proof, DIGEST_SIZE)
            return _pack(Kind.OFFER, _OFFER_BODY.pack(frame.parent, frame.epoch, frame.proof))
        case Challenge():
            _check_size("nonce", frame.nonce, NONCE_SIZE)
            return _pack(Kind.CHALLENGE, frame.nonce)
        case Proof():
            _check_size("digest", frame.digest, DIGEST_SIZE)
            return _pack(Kind.PROOF, frame.digest)
    _check_size("grant", frame.grant, GRANT_SIZE)
    return _pack(Kind.CALL, frame.grant)


def _pack(kind: Kind, body: bytes = b"", flags: int = 0, incarnation: int = 0, seq: int = 0, time_us: int = 0) -> bytes:
    return HEADER.pack(kind, flags, incarnation, len(body), seq, time_us) + body


def _check_size(name: str, value: bytes, size: int) -> None:
    # struct would silently pad or cut a wrong-sized `s` field
    if len(value) != size:
        raise LocalProtocolError(f"{name} has {size} bytes, not {len(value)}")


def decode_one(header: tuple[int, int, int, int, int, int], body: bytes) -> Frame:
    """Return the frame with this unpacked, length-checked header and its payload.

    Raises:
        RemoteProtocolError: a field is not acceptable.
    """
    kind, flags, incarnation, _, seq, time_us = header
    match kind:
        case Kind.DATA:
            return Data(_record_number(seq), time_us, body, incarnation)
        case Kind.HEARTBEAT:
            oldest = _OLDEST_BODY.unpack(body)[0]
            flagged = [bool(flags & flag) for flag in (STALLED, SEEK, LATE, ENDED)]
            return Heartbeat(_record_number(seq), oldest, *flagged)
        case Kind.HELLO:
            return _decode_hello(flags, seq, body)
        case Kind.START:
            return Start(_resume_point(seq), bool(flags & WANTS_DIGESTS))
        case Kind.STOP:
            return Stop()
        case Kind.END:
            first_seq, digest = _END_BODY.unpack(body)
            if first_seq > _record_number(seq):
                raise RemoteProtocolError(f"END at {seq} of a stream that begins at {first_seq}")
            return End(seq, time_us, first_seq, digest, incarnation)
        case Kind.REFUSE:
            return Refuse(_refuse_code(flags), _OLDEST_BODY.unpack(body)[0])
        case Kind.DIGESTS:
            return Digests(_record_number(seq), body)
    return _decode_secret(kind, flags, seq, body)


def _decode_secret(kind: int, flags: int, seq: int, body: bytes) -> Call | Challenge | Proof | Knock | Enter | Offer:
    match kind:
        case Kind.KNOCK:
            magic, version, nonce = _KNOCK_BODY.unpack(body)
            _check_mark("KNOCK", magic)
            return Knock(nonce, version, bool(flags & CALLS))
        case Kind.ENTER:
            rank, epoch, child, proof = _ENTER_BODY.unpack(body)
            return Enter(child, epoch, rank, _resume_point(seq), proof, bool(flags & WANTS_DIGESTS))
        case Kind.OFFER:
            return Offer(*_OFFER_BODY.unpack(body))
        case _:
            return _SECRETS[Kind(kind)](body)


def _decode_hello(flags: int, seq: int, body: bytes) -> Hello:
    magic, version, rank, grant = _HELLO_BODY.unpack(body)
    _check_mark("HELLO", magic)
    return Hello(grant, rank, _resume_point(seq), version, bool(flags & WANTS_DIGESTS))


def _check_mark(name: str, magic: bytes) -> None:
    if magic != MAGIC:
        raise RemoteProtocolError(f"{name} without the overlaycast mark: this is another protocol")


def _record_number(seq: int) -> int:
    if seq >= SEQ_LIMIT:
        raise RemoteProtocolError(f"record number {seq} is out of range")
    return seq


def _resume_point(seq: int) -> int:
    if seq >= SEQ_LIMIT and seq not in (IDLE, EDGE, OLDEST) and not BACK <= seq < BACK + BACK_LIMIT:
        raise RemoteProtocolError(f"resume point {seq} is out of range")
    return seq


def _refuse_code(flags: int) -> RefuseCode:
    try:
        return RefuseCode(flags)
    except ValueError:
        raise RemoteProtocolError(f"unknown refusal code {flags}") from None


class Decoder:
    """Turns the bytes of one direction of a link into frames, however they are cut into portions."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._broken = False

    @property
    def held(self) -> int:
        """Bytes of an unfinished frame waiting for the rest; below ``HEADER_SIZE + MAX_RECORD``."""
        return len(self._held)

    def peek(self) -> bytes:
        """Return the bytes of an unfinished frame."""
        return bytes(self._held)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Return the frames that ``data`` completes, in order.

        Raises:
            RemoteProtocolError: the bytes are not frames. The link is then unusable: every later call raises too.
        """
        if self._broken:
            raise RemoteProtocolError("this link has already broken the protocol")
        self._held += data
        frames: list[Frame] = []
        start = 0
        try:
            while len(self._held) - start >= HEADER_SIZE:
                header = HEADER.unpack_from(self._held, start)
                stop = start + HEADER_SIZE + payload_length(header[0], header[3])
                if stop > len(self._held):
                    break
                frames.append(decode_one(header, bytes(self._held[start + HEADER_SIZE : stop])))
                start = stop
        except RemoteProtocolError:
            self._broken = True
            self._held.clear()
            raise
        del self._held[:start]
        return frames
