"""What members wrote about themselves: JSON lines, read back as the entries of ``wire.journal``. Pure but for ``read``.

Owns: the reading, life by life. Refuses: to guess; a line of a known kind that lacks a field is an error by file and
line. Unknown kinds and further fields are passed over.

Invariant: an unfinished last line (its writer was killed in the middle) is no error; any other broken line is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from overlaycast.errors import LabError
from overlaycast.wire.journal import ENTRY, KINDS, Entry, Sample, Started, Welcomed

_E = TypeVar("_E", bound=Entry)


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
        cuts = [index for index, entry in enumerate(self.entries) if isinstance(entry, Started)]
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
        welcome = self.last(Welcomed)
        return welcome.member if welcome else None


def parse(host: str, lines: Iterable[bytes], where: str) -> Journal:
    """Return the journal that ``lines`` hold, without a last line that has no end.

    Raises:
        LabError: a line is not what a journal holds; the text names ``where`` and the line.
    """
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        entry = parse_line(line, f"{where}:{number}")
        if entry is not None:
            entries.append(entry)
    return Journal(host, tuple(entries))


def parse_line(line: bytes, where: str) -> Entry | None:
    """Return one entry, or None for a kind that the lab does not know."""
    try:
        value = json.loads(line)
    except ValueError:
        raise LabError(f"{where}: not a journal line: {line[:80]!r}") from None
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "t" not in value:
        raise LabError(f"{where}: a journal line without a kind or a time")
    if value["kind"] not in KINDS:
        return None
    try:
        return ENTRY.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LabError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def read(host: str, path: Path) -> Journal:
    """Return the journal in a file; a member that never came so far has an empty one."""
    try:
        with path.open("rb") as file:
            return parse(host, file, str(path))
    except FileNotFoundError:
        return Journal(host)
