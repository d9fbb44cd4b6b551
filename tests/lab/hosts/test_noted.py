"""What hosts noted, read back: deeds, trees, counters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from overlaycast.errors import LabError
from overlaycast.lab.faults.tree import EMPTY, Seat, Tree
from overlaycast.lab.hosts import noted
from overlaycast.lab.hosts.clocks import REFERENCE, Clock, Exchange
from overlaycast.lab.hosts.noted import Done, Noted, Trees


def lines(*entries: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in entries)


def tree(epoch: int, **parents: int | None) -> Tree:
    seats = [Seat(1, "source", "source", None, None)]
    seats += [Seat(number, host, "peer", "s", parent) for number, (host, parent) in enumerate(parents.items(), 2)]
    return Tree(epoch, tuple(seats))


def test_deeds_are_dated_by_the_source_and_an_unfinished_line_is_passed_over() -> None:
    text = lines(
        {"deed": "f", "what": "do", "at": 10.5, "ok": True, "evidence": "is stopped", "why": "asked"},
        {"deed": "f", "what": "undo", "at": 12.5, "ok": True, "evidence": "goes on", "why": "at the end of the run"},
    )
    one = Noted("a", Clock((Exchange(0.0, 500.0, 0.1, 0.2),)), deeds=f'{text}{{"deed": "g"')
    assert one.done() == (
        Done("f", False, 10.0, True, "is stopped"),
        Done("f", True, 12.0, True, "goes on", at_end=True),
    )


def test_a_line_that_the_hand_does_not_write_is_an_error_by_host_and_line() -> None:
    with pytest.raises(LabError, match=r"^a: deeds\.jsonl:2: not a line of the hand: 'what"):
        Noted("a", REFERENCE, deeds='{"deed": "f", "what": "do", "at": 1, "ok": true, "evidence": ""}\nwhat\n').done()


def test_a_tree_has_settled_when_nothing_moved_for_a_second() -> None:
    trees = Trees([(0.0, tree(1, a=1, b=2)), (10.4, tree(2, a=1, b=None)), (11.0, tree(3, a=1, b=1))])
    assert trees.at(-1.0) == EMPTY
    assert trees.at(10.9).epoch == 2
    settled = trees.settled(10.0, 20.0, {"a": "s"})
    assert settled is not None
    assert settled.epoch == 3
    cut_short = trees.settled(10.0, 10.8, {"a": "s"})
    assert cut_short is not None
    assert cut_short.epoch == 2
    assert trees.settled(10.0, 10.1, {}) is None


def test_what_hosts_of_a_site_got_from_elsewhere_entered_the_site() -> None:
    sites = {"source": None, "a": "east", "b": "east"}
    numbers = {"source": 0, "a": 1, "b": 2}

    def counted(host: str, **counters: tuple[int, int]) -> Noted:
        empty = {name: [0, 0] for name in counters}
        full = {name: list(value) for name, value in counters.items()}
        return Noted(host, REFERENCE, meter=lines({"t": 0.0, "counters": empty}, {"t": 10.0, "counters": full}))

    hosts = [
        counted("source", to_1=(1000, 10), from_1=(50, 1)),
        counted("a", from_0=(1000, 10), to_0=(50, 1), to_2=(1000, 10)),
        counted("b", from_1=(1000, 10), from_0=(0, 0)),
    ]
    samples = noted.traffic(hosts, sites, numbers)
    last = samples[-1].links
    assert last["uplink of east"].bytes_ab == 1000 + 10 * noted.ETHERNET
    assert (last["uplink of east"].packets_ab, last["uplink of east"].packets_ba) == (10, 1)
    assert last["b"].packets_ab == 10
    assert samples[5].links["b"].bytes_ab == (1000 + 10 * noted.ETHERNET) // 2
    assert set(last) == {link.name for link in noted.links(sites)}
    assert noted.traffic([Noted("a", REFERENCE)], sites, numbers) == ()


def test_footprints_and_stalls_are_told_apart() -> None:
    text = lines(
        {"t": 1.0, "host": "a", "pid": 7, "rss": 4096, "fds": 9},
        {"stall": "a", "begin": 1.0, "end": 1.1, "ms": 30.5},
        {"t": 1.0, "counters": {}},
    )
    one = Noted("a", REFERENCE, meter=text)
    assert [(f.pid, f.rss_bytes, f.descriptors) for f in one.footprints()] == [(7, 4096, 9)]
    assert [(s.host, s.waited_ms) for s in one.stalls()] == [("a", 30.5)]
