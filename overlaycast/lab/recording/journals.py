"""What members wrote down about themselves: JSON lines, read back as typed entries. Pure but for ``read``.

Owns: the shape of a journal. Refuses: to guess; a line of a known kind that lacks a field is an error by file and line.
Unknown kinds and further fields are passed over, so that programs may say more than the lab asks.

Invariant: an unfinished last line (its writer was killed in the middle) is no error; any other broken line is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from overlaycast.errors import LabError


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    t: float


class Start(_Entry):
    kind: Literal["start"] = "start"
    role: str
    name: str


class Welcome(_Entry):
    kind: Literal["welcome"] = "welcome"
    member: int


class Assigned(_Entry):
    kind: Literal["assign"] = "assign"
    epoch: int
    parent: int | None = None


class Fed(_Entry):
    """From now on live data or heartbeats come from this parent; ``called``: it opened the connection."""

    kind: Literal["fed"] = "fed"
    parent: int | None = None
    called: bool = False


class Silent(_Entry):
    """The parent is suspected; the standby has been asked."""

    kind: Literal["silent"] = "silent"
    parent: int | None = None
    silent_ms: float = 0


class Switch(_Entry):
    """Data comes from another parent now; ``gap_ms`` from the last record before to the first after."""

    kind: Literal["switch"] = "switch"
    from_parent: int | None = Field(None, alias="from")
    to_parent: int | None = Field(None, alias="to")
    reason: str = ""
    gap_ms: float | None = None


class Sample(_Entry):
    """Cumulative counts at the sink, the longest gap and the median latency of the interval."""

    kind: Literal["sample"] = "sample"
    bytes: int
    records: int
    next_seq: int | None = None
    gap_ms: float = 0
    latency_ms: float | None = None


class Lost(_Entry):
    """Records that will never come: ``from_seq`` up to, not with, ``to_seq``."""

    kind: Literal["lost"] = "lost"
    from_seq: int
    to_seq: int


class Begin(_Entry):
    kind: Literal["begin"] = "begin"
    next_seq: int
    incarnation: int = 0


class End(_Entry):
    kind: Literal["end"] = "end"
    next_seq: int
    sha256: str | None = None


class Error(_Entry):
    kind: Literal["error"] = "error"
    reason: str


class Latency(BaseModel):
    """Milliseconds from the source's clock to the sink."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class Summary(_Entry):
    """The last line."""

    kind: Literal["summary"] = "summary"
    first_seq: int | None = None
    next_seq: int | None = None
    expected: int | None = None
    received: int | None = None
    records: int | None = None
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    sha256: str | None = None
    digest_ok: bool | None = None
    latency_ms: Latency | None = None
    longest_gap_ms: float | None = None
    longest_gap_at: float | None = None
    bytes: int = 0


Entry = (
    Start | Welcome | Assigned | Fed | Silent | Switch | Sample | Lost | Begin | End | Error | Summary
)  # fmt: skip
_ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])
KINDS: Final = frozenset(
    ("start", "welcome", "assign", "fed", "silent", "switch", "sample", "lost", "begin", "end", "error", "summary")
)

_E = TypeVar("_E", bound=_Entry)


@dataclass(frozen=True, slots=True)
class Journal:
    """One member's journal; ``host`` is the emulated host it ran on."""

    host: str
    entries: tuple[Entry, ...] = ()

    def all(self, kind: type[_E]) -> tuple[_E, ...]:
        """Return the entries of one kind, in the order of writing."""
        return tuple(entry for entry in self.entries if isinstance(entry, kind))

    def last(self, kind: type[_E]) -> _E | None:
        """Return the newest entry of one kind."""
        found = self.all(kind)
        return found[-1] if found else None

    def lives(self) -> tuple[Journal, ...]:
        """Return a journal for each time that the program was started; at least one."""
        cuts = [place for place, entry in enumerate(self.entries) if isinstance(entry, Start)]
        edges = [0, *cuts[1:], len(self.entries)]
        return tuple(Journal(self.host, self.entries[a:b]) for a, b in pairwise(edges))

    def last_life(self) -> Journal:
        """Return what was written since the program was last started."""
        return self.lives()[-1]

    def running(self) -> tuple[Sample, ...]:
        """Return all samples, bytes and records counted on over every start of the program."""
        found: list[Sample] = []
        size = records = 0
        for life in self.lives():
            samples = life.all(Sample)
            found += [
                one.model_copy(update={"bytes": one.bytes + size, "records": one.records + records}) for one in samples
            ]
            if samples:
                size, records = size + samples[-1].bytes, records + samples[-1].records
        return tuple(found)

    def set_right(self, steps: Sequence[float]) -> Journal:
        """Return the journal as it would be had its host's clock not jumped.

        An entry follows the one before it closely; a jump is of a minute or more. So of two readings the nearer one
        to the entry before is right.

        Args:
            steps: by how many seconds, in the order of time.
        """
        todo, off, before = list(steps), 0.0, None
        entries: list[Entry] = []
        for entry in self.entries:
            if todo and before is not None and abs(entry.t - off - todo[0] - before) < abs(entry.t - off - before):
                off += todo.pop(0)
            before = entry.t - off
            entries.append(entry.model_copy(update={"t": before}))
        return Journal(self.host, tuple(entries))

    @property
    def member(self) -> int | None:
        """Return the member id, if it ever became a member."""
        welcome = self.last(Welcome)
        return welcome.member if welcome else None


def parse(host: str, lines: Iterable[bytes], place: str) -> Journal:
    """Return the journal that ``lines`` hold, without a last line that has no end.

    Raises:
        LabError: a line is not what a journal holds; the text names ``place`` and the line.
    """
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        entry = parse_line(line, f"{place}:{number}")
        if entry is not None:
            entries.append(entry)
    return Journal(host, tuple(entries))


def parse_line(line: bytes, place: str) -> Entry | None:
    """Return one entry, or None for a kind that the lab does not know."""
    try:
        value = json.loads(line)
    except ValueError:
        raise LabError(f"{place}: not a journal line: {line[:80]!r}") from None
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise LabError(f"{place}: a journal line without a kind")
    if value["kind"] not in KINDS:
        return None
    try:
        return _ENTRY.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LabError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def read(host: str, path: Path) -> Journal:
    """Return the journal in a file; a member that never came so far has an empty one."""
    try:
        with path.open("rb") as file:
            return parse(host, file, str(path))
    except FileNotFoundError:
        return Journal(host)
