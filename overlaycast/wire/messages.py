"""Control messages: one WebSocket per member, JSON text, one frozen model each, one tagged union per direction.

Owns: names, shapes and bounds of what members and the coordinator tell each other. Refuses: unknown kinds and unknown
fields; to turn them into text and back (``text``).

The first message of a link is ``Subscribe`` and carries the protocol version; the first answer is ``Welcome`` or
``Refused``. Times are milliseconds or seconds as names say; rates are Mbit/s; record numbers as in ``frames``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from overlaycast.wire.frames import MAX_RECORD, SEQ_LIMIT
from overlaycast.wire.group import GroupName, GroupSettings, MemberLimits
from overlaycast.wire.hosts import ACCEPTED, HOST_LIMIT, is_host, is_literal, plain

VERSION: Final = 2
"""Since 2 a parent may be ordered to call its child (``Accept.addresses``), and members say whether they can dial."""
MAX_NAMESAKES: Final = 16
MAX_UNTRUE: Final = 16
MAX_FIRST_HOPS: Final = 3
MAX_DISTANCES: Final = 16
"""Members that one member is asked at once to count its distance to."""
ECHO_LIMIT: Final = 64 * 1024

MAX_CHUNK: Final = 8 << 20
"""Bytes of a chunk at most: a member keeps so much of a link that it does not trust yet."""
MAX_CHUNK_RECORDS: Final = 1 << 16
"""Records of a chunk at most: each has a header, which would be most of what is kept where records are tiny."""
MAX_CHUNKS: Final = 1 << 16
"""Chunks of a file at most: their digests have at most 2 MiB."""


MemberId = Annotated[int, Field(ge=1, lt=1 << 53)]
Rank = Annotated[int, Field(ge=0, lt=1 << 63)]
Epoch = Annotated[int, Field(ge=0, lt=1 << 53)]
RecordNumber = Annotated[int, Field(ge=0, lt=SEQ_LIMIT)]
# what is secret is in no repr, so in no traceback and no log
Grant = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", repr=False)]
Token = Annotated[str, Field(min_length=1, max_length=256, repr=False)]
Secret = Annotated[str, Field(min_length=16, max_length=128, repr=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
DataVersion = Annotated[int, Field(ge=1, le=255)]
Millis = Annotated[float, Field(ge=0, le=1e12)]
Mbit = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Role = Literal["source", "peer", "relay", "backup"]
Part = Role | Literal["standby"]
"""What a member is in its group: a standby subscribes as a source that waits (``Subscribe.standby``)."""
ReportState = Literal["waiting", "streaming", "stalled", "switching", "ended"]
Behind = Literal["output", "link", "parent", "processor"]
"""What cannot keep up with a live stream: a member's output, the link from its parent, that parent, or the member's own
program."""


RefusalCode = Literal[
    "version",
    "bad-message",
    "unknown-group",
    "bad-token",
    "expired-token",
    "source-taken",
    "other-contents",
    "full",
    "unknown-member",
]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _host(text: str) -> str:
    if text and not is_host(text):
        raise ValueError(ACCEPTED)
    return plain(text)


class Address(_Message):
    """Where a member's data port is reached. An empty host: the address that the coordinator sees.

    An IP address is kept in its plain form (``hosts.plain``), so that equal addresses are equal texts.
    """

    host: Annotated[str, Field(max_length=HOST_LIMIT), AfterValidator(_host)]
    port: int = Field(ge=1, le=65535)


class Peer(_Message):
    """A member that another one may dial: its address and the grant that opens its door.

    Without addresses it is the other way round: this member calls (``Accept.addresses``), and proves the same grant.
    """

    member: MemberId
    name: Name
    addresses: tuple[Address, ...] = Field(max_length=4)
    grant: Grant
    rank: Rank
    data_version: DataVersion | None = Field(None, description="the data link's version with it; None: 1")


class Contents(_Message):
    """What a file group is about: said by its source before anything is sent, and passed on to every member.

    A chunk is ``chunk_records`` records, the last one what is left; a leaf is the SHA-256 digests of 64 chunks, the
    last one what is left. The list that travels over data links has the SHA-256 digests of the leaves, then the leaves;
    ``digests_sha256`` is that of its first part. A leaf is believed if it fits that, a chunk if it fits its leaf.
    """

    kind: Literal["contents"] = "contents"
    size: int = Field(ge=0, le=MAX_CHUNK * MAX_CHUNKS)
    record_size: int = Field(ge=1, le=MAX_RECORD)
    chunk_records: int = Field(ge=1, le=MAX_CHUNK_RECORDS)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    digests_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _bounded(self) -> Contents:
        chunk = self.record_size * self.chunk_records
        if chunk > MAX_CHUNK or self.size > chunk * MAX_CHUNKS:
            raise ValueError(f"accepted are up to {MAX_CHUNKS} chunks of up to {MAX_CHUNK} bytes")
        return self


# --- member to coordinator -------------------------------------------------------------------------------------


class Resume(_Message):
    """What a member that already has a seat tells a coordinator that comes back."""

    member: MemberId
    secret: Secret
    epoch: Epoch
    rank: Rank
    parent: MemberId | None = None
    next_seq: RecordNumber


class Subscribe(_Message):
    """Fig. 4, 402: a host asks to become a member."""

    kind: Literal["subscribe"] = "subscribe"
    version: int
    group: GroupName
    token: Token
    name: Name
    role: Role = "peer"
    addresses: tuple[Address, ...] = Field(max_length=4)
    limits: MemberLimits = MemberLimits()
    reachable: bool = Field(True, description="others can open connections to it")
    dials: bool = Field(True, description="it can open connections to others")
    local: Address | None = Field(None, description="where it is on its own network: neighbours there dial that")
    seen: str = Field("", max_length=64, description="the address that the coordinator sees; only it fills this in")
    resume: Resume | None = None
    standby: bool | None = Field(None, description="a source that waits until the group's source goes or fails")
    data_version: DataVersion | None = Field(None, description="the newest data link that it speaks; None: 1")

    @property
    def part(self) -> Part:
        """What it is in the group at first: its role, or ``standby``."""
        return "standby" if self.standby else self.role

    @model_validator(mode="after")
    def _a_source(self) -> Subscribe:
        if self.standby and self.role != "source":
            raise ValueError("standby: accepted only with role source")
        return self


class EchoReply(_Message):
    """The echo payload, returned at once (Fig. 4, 406: the performance parameter)."""

    kind: Literal["echo-reply"] = "echo-reply"
    nonce: Count
    payload: str = Field(max_length=ECHO_LIMIT)
    at_us: Count | None = Field(None, description="when the request came, in microseconds of a clock of the member's")


class ChildReport(_Message):
    """A parent's view of one child: how far it has been sent."""

    child: MemberId
    next_seq: RecordNumber


Untruth = Literal["end", "number", "flood", "frame"]


class Untrue(_Message):
    """A parent said what cannot be: an END of a stream that goes on, a record number that the source cannot have
    reached, more than a stream of the group can have, or what is no frame of a parent."""

    parent: MemberId
    what: Untruth


class Report(_Message):
    """Fig. 9B: what arrived since the last report, from where, how late. Sent at once when the parent changes."""

    kind: Literal["report"] = "report"
    epoch: Epoch
    parent: MemberId | None = None
    state: ReportState
    next_seq: RecordNumber
    interval_ms: Millis
    bytes: Count
    records: Count
    latency_p50_ms: Millis | None = None
    latency_max_ms: Millis | None = None
    longest_gap_ms: Millis = 0
    lost: Count = 0
    duplicated: Count = 0
    standbys_ready: tuple[MemberId, ...] = Field((), max_length=16)
    children: tuple[ChildReport, ...] = Field((), max_length=4096)
    behind: Behind | None = Field(None, description="what of it has been unable to keep up for some seconds")
    fed_by: MemberId | None = Field(None, description="the member that the newest record came from")
    links_failed: Count = Field(0, description="links to parents, and calls of children, that have failed so far")
    asked_in_vain: Count = Field(0, description="parents that were asked for data so far and brought none")
    asks: bool | None = Field(None, description="it wants to know how far the stream is: answered by a ``Ping``")
    untrue: tuple[Untrue, ...] | None = Field(
        None, max_length=MAX_UNTRUE, description="parents found to say what cannot be, since the last report"
    )


class NotReceiving(_Message):
    """Fig. 9A: the parent sends nothing. Repeated until an ``Assign`` answers it."""

    kind: Literal["not-receiving"] = "not-receiving"
    epoch: Epoch
    parent: MemberId | None = None
    next_seq: RecordNumber
    silent_ms: Millis
    reason: Literal["silence", "reset", "refused", "unreachable", "gone", "damaged"]
    now_from: MemberId | None = Field(None, description="the standby that it turned to by itself, if that worked")


class Pong(_Message):
    """Answer to ``Ping``: the member lives, and is this far."""

    kind: Literal["pong"] = "pong"
    nonce: Count
    next_seq: RecordNumber
    parent: MemberId | None = None


class Leaving(_Message):
    """The member goes (SIGTERM) once its children are moved; it stays until ``Released``."""

    kind: Literal["leaving"] = "leaving"
    reason: str = Field("", max_length=200, description="why, for people")


class Done(_Message):
    """END reached: the digest of what was written. ``ok``: it is the source's, and nothing is missing."""

    kind: Literal["done"] = "done"
    next_seq: RecordNumber
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    ok: bool


class Failed(_Message):
    """The member cannot go on: its disk is full, its sink is gone. A clear end, not a silent one."""

    kind: Literal["failed"] = "failed"
    reason: str = Field(max_length=200)


def _literal(text: str) -> str:
    if not is_literal(text):
        raise ValueError("accepted is an IP address")
    return plain(text)


RouterAddress = Annotated[str, Field(max_length=HOST_LIMIT), AfterValidator(_literal)]


class FirstHops(_Message):
    """What a member sees of its own network: the routers on its way to ``Welcome.towards``, nearest first.

    ``gateway`` is the first one by the member's own routing table, ``hops`` are those that answered probes; None: one
    that did not answer.
    """

    kind: Literal["first-hops"] = "first-hops"
    gateway: RouterAddress | None = None
    hops: tuple[RouterAddress | None, ...] = Field((), max_length=MAX_FIRST_HOPS)


class Distance(_Message):
    """How far another member is: the routers that its packets pass on their way here, and the round trip."""

    member: MemberId
    hops: int = Field(ge=0, le=255)
    rtt_ms: Millis


class DistanceReply(_Message):
    """Answer to ``DistanceRequest``: those that were heard."""

    kind: Literal["distance-reply"] = "distance-reply"
    nonce: Count
    distances: tuple[Distance, ...] = Field(max_length=MAX_DISTANCES)


MemberMessage = (
    Subscribe
    | EchoReply
    | Report
    | NotReceiving
    | Pong
    | Leaving
    | Done
    | Failed
    | Contents
    | FirstHops
    | DistanceReply
)


# --- coordinator to member -------------------------------------------------------------------------------------


class Extent(_Message):
    """How far the stream is, by its source's own word. A member checks by it what parents claim.

    ``least``: its source has said that it was so far. ``most``: it cannot be further by now. ``over``: the source has
    said that it ends at ``least``; False: the source is connected and has said no such thing; None: not known.
    """

    least: RecordNumber
    most: RecordNumber
    mbit: Mbit | None = Field(None, description="the rate at which the source really sends")
    over: bool | None = None


class Welcome(_Message):
    """The subscriber is a member. The secret proves it when it comes back."""

    kind: Literal["welcome"] = "welcome"
    version: int = VERSION
    member: MemberId
    secret: Secret
    settings: GroupSettings
    namesakes: tuple[MemberId, ...] | None = Field(
        None, max_length=MAX_NAMESAKES, description="connected members of the same name"
    )
    towards: Annotated[str, Field(max_length=HOST_LIMIT)] | None = Field(
        None, description="the member tells its first hops on the way to this address; empty: to the coordinator"
    )


class Refused(_Message):
    """A refusal and its reason; the link closes after it."""

    kind: Literal["refused"] = "refused"
    code: RefusalCode
    reason: str = Field(max_length=300)


class EchoRequest(_Message):
    """Return this payload at once."""

    kind: Literal["echo-request"] = "echo-request"
    nonce: Count
    payload: str = Field(max_length=ECHO_LIMIT)


class DistantMember(_Message):
    """A member whose distance is to be counted, and where it is."""

    member: MemberId
    address: Address


class DistanceRequest(_Message):
    """Count the routers to these members, by one datagram to each; what is not heard within a second has no count."""

    kind: Literal["distance-request"] = "distance-request"
    nonce: Count
    members: tuple[DistantMember, ...] = Field(max_length=MAX_DISTANCES)


class Assign(_Message):
    """The member's seat. Dropped by a member that has seen a newer epoch. ``parent`` is None for the source, and for a
    member that has to wait. ``fallbacks`` is the predefined list (Fig. 8): tried in order when all else fails."""

    kind: Literal["assign"] = "assign"
    epoch: Epoch
    rank: Rank
    depth: int = Field(ge=0, le=1000)
    primary: bool = False
    parent: Peer | None = None
    standbys: tuple[Peer, ...] = Field((), max_length=4)
    fallbacks: tuple[Peer, ...] = Field((), max_length=16)
    extent: Extent | None = None
    relieved: bool | None = Field(
        None, description="to the source: a standby takes over when it goes, so it leaves without END"
    )
    incarnation: int | None = Field(None, ge=0, lt=1 << 16, description="the group's source's")
    deposed: MemberId | None = Field(
        None, description="a former source that may still send what nobody is to take: its place is another's"
    )


class Accept(_Message):
    """Fig. 9C, 920: a child will come with this grant; ``standby``: it stays connected and asks for data when it must.

    With ``addresses`` the parent opens the connection, to there (``OFFER``, ``CALL``), and the child says the same as
    where it has dialled. ``data_version`` is that of the link with it: who has to prove the grant may not show it.
    """

    kind: Literal["accept"] = "accept"
    epoch: Epoch
    child: MemberId
    name: Name
    grant: Grant
    standby: bool = False
    addresses: tuple[Address, ...] = Field((), max_length=4)
    data_version: DataVersion | None = Field(None, description="the data link's version with it; None: 1")


class Revoke(_Message):
    """Forget this child's grants: it is gone, or it has another parent."""

    kind: Literal["revoke"] = "revoke"
    epoch: Epoch
    child: MemberId


class Begin(_Message):
    """To the source: all awaited members have seats; send, from this record number, as this incarnation."""

    kind: Literal["begin"] = "begin"
    epoch: Epoch
    incarnation: int = Field(ge=0, lt=1 << 16)
    next_seq: RecordNumber


class Ping(_Message):
    """Fig. 8, 808: does the member live? To a member that has asked for it, with how far the stream is."""

    kind: Literal["ping"] = "ping"
    nonce: Count
    extent: Extent | None = None


class Released(_Message):
    """Answer to ``Leaving``: no member depends on this one any more."""

    kind: Literal["released"] = "released"


class Ended(_Message):
    """The group is over or deleted: the member ends."""

    kind: Literal["ended"] = "ended"
    reason: str = Field(max_length=300)


class NewSettings(_Message):
    """The group's settings have changed: these count from now on."""

    kind: Literal["settings"] = "settings"
    settings: GroupSettings


CoordinatorMessage = (
    Welcome
    | Refused
    | EchoRequest
    | Assign
    | Accept
    | Revoke
    | Begin
    | Ping
    | Released
    | Ended
    | Contents
    | NewSettings
    | DistanceRequest
)
