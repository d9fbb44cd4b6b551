"""Golden transcripts of the parent link: ``transcripts/*.txt`` are read beside Figures 8 and 9 (docs/background.md).

A line that begins with a time is an input, ``->`` lines are what the machine then wants done, ``#`` lines explain.
``flow L T`` is data of 20,000 bytes every 20 ms on link L until time T, ``starve L T`` a stalled heartbeat every 20 ms;
``trickle L T N`` is N bytes of a record every 20 ms; ``claim L T`` every 20 ms a heartbeat that claims records which
have not come, ``owes L`` one of them; ``empty L`` a heartbeat of a parent that has no records yet;
``late T``: the process slept until T.
Members are written by letter: p the parent, s and t standbys, f the fallback. ``UPDATE_TRANSCRIPTS=1 pytest`` rewrites
the files after a change that was meant.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaycast.failover.machine import Upstream
from overlaycast.failover.words import CloseLink, Complain, Dial, Fruitless, ParentChanged, SendStart, SendStop, Silent
from overlaycast.wire.frames import RefuseCode
from overlaycast.wire.messages import Assign, Peer

FOLDER = Path(__file__).parent / "transcripts"
FILES = sorted(FOLDER.glob("*.txt"))


def peer(letter: str) -> Peer:
    return Peer(member=ord(letter), name=letter, addresses=(), grant="0" * 32, rank=1)


def letter(member: int | None) -> str:
    return chr(member) if member is not None else "nobody"


class Player:
    """Runs the inputs of one transcript."""

    def __init__(self) -> None:
        self.machine = Upstream(silence_s=0.08, heartbeat_s=0.025, flag_s=3.0, jitter=lambda: 0.5)

    def play(self, line: str) -> Iterator[str]:
        stamp, verb, *words = line.split()
        now = float(stamp)
        if verb == "late":  # no timer has fired for so long
            self.machine.next_deadline()
            now = float(words[0])
            self.machine.tick(now)
        else:
            yield from self._wake_until(now)
        match verb:
            case "assign":
                options = dict(word.split("=") for word in words)
                self.machine.assign(self._order(options), now)
            case "beat" | "stalled" | "owes" | "empty":
                self.machine.heartbeat(int(words[0]), verb == "stalled", now, verb == "owes", verb == "empty")
            case "data" | "double":
                self.machine.data(int(words[0]), verb == "data", now)
            case "lost":
                self.machine.lost(int(words[0]), "reset" if len(words) == 1 else "unreachable", now)
            case "refused":
                self.machine.refused(int(words[0]), RefuseCode[words[1]], 7, now)
            case "ended":
                self.machine.ended(now)
            case "flow" | "starve" | "trickle" | "claim":
                yield from self._repeat(verb, int(words[0]), now, float(words[1]), int((*words, "20000")[2]))
            case _:
                assert verb in ("wait", "late"), line
        yield from self._actions()
        yield f"   = {self.machine.state.value}, fed by {letter(self.machine.parent)}"

    def _repeat(self, verb: str, link: int, now: float, until: float, size: int) -> Iterator[str]:
        while now <= until:
            yield from self._wake_until(now)
            if verb == "flow":
                self.machine.data(link, True, now, size)
            elif verb == "trickle":
                self.machine.trickled(link, size, now)
            elif verb == "claim":
                self.machine.heartbeat(link, False, now, owes=True)
            else:
                self.machine.heartbeat(link, True, now)
            for action in self._actions():
                yield f"   {now:.3f}"
                yield action
            now += 0.02

    def _wake_until(self, now: float) -> Iterator[str]:
        while (deadline := self.machine.next_deadline()) is not None and deadline < now:
            self.machine.tick(deadline)
            for action in self._actions():
                yield f"   {deadline:.3f} (timer)"
                yield action
                yield from self._actions()

    @staticmethod
    def _order(options: dict[str, str]) -> Assign:
        parent = options.get("parent")
        return Assign(
            epoch=int(options["epoch"]),
            rank=9,
            depth=1,
            parent=peer(parent) if parent else None,
            standbys=tuple(map(peer, options.get("standbys", ""))),
            fallbacks=tuple(map(peer, options.get("fallbacks", ""))),
        )

    def _actions(self) -> Iterator[str]:
        for action in self.machine.actions():
            match action:
                case Dial():
                    how = "for records" if action.feed else "as a standby"
                    yield f"   -> dial {action.peer.name} {how}: link {action.link}"
                case SendStart():
                    yield f"   -> START on link {action.link}" + (" from its oldest" if action.oldest else "")
                case SendStop():
                    yield f"   -> STOP on link {action.link}"
                case CloseLink():
                    yield f"   -> close link {action.link}"
                case Complain():
                    went = f", now from {letter(action.now_from)}" if action.now_from else ""
                    yield (
                        f"   -> NotReceiving from {letter(action.parent)}: {action.reason}, "
                        f"silent {action.silent_ms:.0f} ms{went}"
                    )
                case ParentChanged():
                    yield f"   -> fed by {letter(action.parent)}, before by {letter(action.was)} ({action.reason})"
                case Silent():
                    yield f"   -> {letter(action.parent)} silent for {action.silent_ms:.0f} ms"
                case Fruitless():
                    yield f"   -> {' and '.join(map(letter, action.parents))} answer, and no record comes"


def run(text: str) -> str:
    player = Player()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("   "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines.extend(player.play(line))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    said = run(path.read_text())
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(said)
    assert said == path.read_text()


def test_there_are_transcripts() -> None:
    assert len(FILES) >= 9
