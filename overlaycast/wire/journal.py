"""Journal entries: what a member writes about itself, one JSON object a line, typed by ``kind``.

Owns: names and fields of the entries, which their writers (an agent, the ends of the multicast baseline) and their
reader (the lab) share. Refuses: files and clocks.

A reader passes over kinds and fields that it does not know, so that a newer writer may say more. Fields with a default
may be missing in older journals.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Entry(BaseModel):
    """``t``: seconds since 1970, filled in when the entry is written."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    t: float = 0.0


class Started(_Entry):
    """The program runs; it is not a member yet."""

    kind: Literal["start"] = "start"
    pid: int | None = None
    role: str
    name: str
    group: str | None = None


class Welcomed(_Entry):
    """The coordinator took it in as this member."""

    kind: Literal["welcome"] = "welcome"
    member: int


class Assigned(_Entry):
    """An order of the coordinator: the parent and the standbys, by member id."""

    kind: Literal["assign"] = "assign"
    epoch: int
    parent: int | None = None
    rank: int | None = None
    depth: int | None = None
    primary: bool = False
    standbys: tuple[int, ...] = ()


class Attached(_Entry):
    """This parent has let the member in and is to feed it from now on; nothing need have come from it yet."""

    kind: Literal["attached"] = "attached"
    parent: int


class Fed(_Entry):
    """A record has come over a new link, from this parent; ``called``: it opened the connection."""

    kind: Literal["fed"] = "fed"
    parent: int | None = None
    called: bool = False


class FellSilent(_Entry):
    """The parent is suspected; the standby has been asked."""

    kind: Literal["silent"] = "silent"
    parent: int | None = None
    silent_ms: float = 0


class Switched(_Entry):
    """Data comes from another parent now; ``gap_ms`` from the last record before to the first after."""

    kind: Literal["switch"] = "switch"
    from_parent: int | None = Field(None, validation_alias="from", serialization_alias="from")
    to_parent: int | None = Field(None, validation_alias="to", serialization_alias="to")
    reason: str = ""
    gap_ms: float | None = None


class ParentLinkFailed(_Entry):
    """The link to this possible parent broke, was refused, or did not come about."""

    kind: Literal["link-failed"] = "link-failed"
    parent: int
    reason: str


class InVain(_Entry):
    """These possible parents were asked for data and brought none."""

    kind: Literal["in-vain"] = "in-vain"
    parents: tuple[int, ...]


class DataDamaged(_Entry):
    """This parent sent what does not fit its digest; its link was closed."""

    kind: Literal["damaged"] = "damaged"
    parent: int
    what: str


class FoundUntrue(_Entry):
    """This parent said what cannot be (``why``); its link was closed, and it is not dialled for so long."""

    kind: Literal["untrue"] = "untrue"
    parent: int
    what: str
    why: str = ""
    pause_s: float = 0


class Sample(_Entry):
    """Cumulative counts at the sink, the longest gap and the median latency since the last sample."""

    kind: Literal["sample"] = "sample"
    bytes: int
    records: int
    next_seq: int | None = None
    gap_ms: float = 0
    latency_ms: float | None = None


class RecordsLost(_Entry):
    """Records that will never come: ``from_seq`` up to, not with, ``to_seq``."""

    kind: Literal["lost"] = "lost"
    from_seq: int
    to_seq: int


class FellBehind(_Entry):
    """The member cannot keep up: ``what`` is its output, link, parent or processor; data is ``late_ms`` late by now."""

    kind: Literal["behind"] = "behind"
    what: str
    parent: int | None = None
    late_ms: float = 0


class CaughtUp(_Entry):
    """It keeps up again, after so many seconds in which so many records were lost."""

    kind: Literal["caught-up"] = "caught-up"
    what: str
    seconds: float
    lost: int = 0


class FileDescribed(_Entry):
    """A file's source has read its file, in so many seconds; the fields are those of the message ``contents``."""

    kind: Literal["contents"] = "contents"
    size: int
    record_size: int
    chunk_records: int
    sha256: str
    digests_sha256: str
    seconds: float


class FileProgressed(_Entry):
    """Another tenth of a file is there."""

    kind: Literal["progress"] = "progress"
    percent: int
    bytes: int
    rate_mbit: float
    left_s: float | None = None


class Begun(_Entry):
    """The source starts to send, from this record, as this incarnation."""

    kind: Literal["begin"] = "begin"
    next_seq: int
    incarnation: int = 0


class StreamEnd(_Entry):
    """The end of the stream has arrived: the number after the last record, and the source's digest."""

    kind: Literal["end"] = "end"
    next_seq: int
    sha256: str | None = None


class Failure(_Entry):
    """The program ends because of this."""

    kind: Literal["error"] = "error"
    reason: str


class SinkLatency(BaseModel):
    """Milliseconds from the source's clock to the sink."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class Summary(_Entry):
    """The last entry: totals of this start of the program.

    ``received`` counts records at the sink, ``discarded`` those that arrived twice and were dropped before it,
    ``links_failed`` links to parents by what went wrong, and calls of children.
    """

    kind: Literal["summary"] = "summary"
    first_seq: int | None = None
    next_seq: int | None = None
    expected: int | None = None
    received: int | None = None
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    sha256: str | None = None
    digest_ok: bool | None = None
    latency_ms: SinkLatency | None = None
    longest_gap_ms: float | None = None
    longest_gap_at: float | None = None
    bytes: int = 0
    bytes_received: int | None = None
    discarded: int | None = None
    children_skipped: int | None = None
    bytes_forwarded: int | None = None
    ring_bytes: int | None = None
    cpu_s: float | None = None
    links_failed: dict[str, int] | None = None
    asked_in_vain: int | None = None


Entry = (
    Started
    | Welcomed
    | Assigned
    | Attached
    | Fed
    | FellSilent
    | Switched
    | ParentLinkFailed
    | InVain
    | DataDamaged
    | FoundUntrue
    | Sample
    | RecordsLost
    | FellBehind
    | CaughtUp
    | FileDescribed
    | FileProgressed
    | Begun
    | StreamEnd
    | Failure
    | Summary
)
ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])
KINDS: Final = frozenset(str(entry.model_fields["kind"].default) for entry in Entry.__args__)


def encode(entry: Entry, t: float) -> str:
    """Return an entry, written at ``t``, as one line of JSON without its end."""
    return entry.model_copy(update={"t": round(t, 6)}).model_dump_json(by_alias=True)
