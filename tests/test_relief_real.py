"""The source of a live stream hands over, the next is killed, and the third is frozen; nobody loses what was sent."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.alone_on_loopback import played
from tests.drain_play import PEERS

pytestmark = [pytest.mark.lab, pytest.mark.alone]

MOST_S = 2.0
"""The tests' machines are busy: docs/operate.md says what one computer needs."""


def test_a_standby_source_goes_on_with_the_stream(tmp_path: Path) -> None:
    result = played("tests.relief_play", tmp_path)
    peers = result["peers"]
    print({key: value for key, value in result.items() if key != "peers"})
    assert result["roles"] == {"one": "source", "two": "standby"}
    changes = [result[name] for name in ("planned", "killed", "frozen")]
    assert [change["code"] for change in changes] == [0, -9, 1]
    assert len(peers) == PEERS
    assert {(peer["code"], peer["lost"], peer["digest_ok"]) for peer in peers.values()} == {(0, 0, True)}
    for change in changes:
        assert max(change["silent_ms"].values()) < MOST_S * 1000
    # every receiver has the same blocks from where all have begun, in order, and lacks some at the changes alone
    first = max(peer["numbers"][0] for peer in peers.values())
    [blocks] = {tuple(number for number in peer["numbers"] if number >= first) for peer in peers.values()}
    assert list(blocks) == sorted(set(blocks))
    missing = [(last, after) for last, after in pairwise(blocks) if after != last + 1]
    assert len(missing) <= len(changes)
