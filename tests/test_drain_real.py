"""A forwarder of a live stream is drained with ``overlaycast group drain``, then stopped; nobody loses a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alone_on_loopback import played
from tests.drain_play import PEERS

pytestmark = [pytest.mark.lab, pytest.mark.alone]


def test_a_drained_forwarder_is_stopped_and_nobody_loses_a_record(tmp_path: Path) -> None:
    result = played("tests.drain_play", tmp_path)
    print(result)
    code, answer = result["drained"]
    assert (code, answer["draining"], answer["left"]) == (0, True, [])
    assert result["state"] == "DRAINING"
    assert len(result["peers"]) == PEERS
    assert {(peer["code"], peer["lost"]) for peer in result["peers"].values()} == {(0, 0)}
    assert result["children"], "the drained member fed somebody"
    for name in result["children"]:
        assert "order" in result["peers"][name]["switches"]
