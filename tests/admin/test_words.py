"""What `overlaycast group` prints of members' words does nothing to the terminal."""

from __future__ import annotations

import io

import httpx
import pytest
from rich.console import Console

from overlaycast.admin.drawing import drawn
from overlaycast.admin.request import reach
from overlaycast.streams import printable
from overlaycast.wire.views import SeatView, TreeView

STEERING = ("\x1b]0;PWNED\x1b\\\x1b[2J", "a\rb\nc", "\x9b2J", "\u202egnp", "\u2028", "\ud800", "[red]x[/red]")


@pytest.mark.parametrize("word", STEERING)
def test_no_word_of_a_member_steers_the_terminal(word: str) -> None:
    seat = SeatView.model_construct(
        id=1, name=word, role=word, host=word, site=word, state=word, parent=None, rank=0, primary=False, standbys=(1,)
    )
    screen = io.StringIO()
    console = Console(file=screen, width=400, highlight=False)
    console.print(drawn("g", TreeView.model_construct(epoch=1, members=(seat,))))
    lines = screen.getvalue().split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert printable(word) in lines[1]


def test_what_a_member_lacks_stands_beside_it() -> None:
    seat = SeatView(
        id=1, name="a", role="peer", state="ACTIVE", receive_mbit=3.0, latency_ms=1500, lost=7, behind="link"
    )
    screen = io.StringIO()
    Console(file=screen, width=400, highlight=False).print(drawn("g", TreeView(epoch=1, members=(seat,))))
    assert "3 Mbit/s, 1500 ms late, 7 lost, behind: its link  ACTIVE" in screen.getvalue()


def test_members_of_one_name_are_told_apart() -> None:
    seats = [
        SeatView.model_construct(
            id=number, name=name, role="peer", host="", site="", state="ACTIVE", parent=parent, rank=number,
            primary=False, standbys=standbys,
        )
        for number, name, parent, standbys in [(1, "s", None, ()), (2, "tv", 1, (3,)), (3, "tv", 1, ())]
    ]  # fmt: skip
    screen = io.StringIO()
    Console(file=screen, width=400, highlight=False).print(
        drawn("g", TreeView.model_construct(epoch=1, members=tuple(seats)))
    )
    lines = screen.getvalue().split("\n")
    assert "s  peer" in lines[1]
    assert "tv (2)  peer, standby tv (3)" in lines[2]
    assert "tv (3)  peer" in lines[3]


@pytest.mark.parametrize("written", ["http://[fe80::1%eth0]:8470", "http://[fe80::1%25eth0]:8470"])
def test_a_scope_is_looked_up_as_the_system_writes_it(written: str) -> None:
    base, _ = reach(written)
    assert httpx.URL(base).host == "fe80::1%eth0"
