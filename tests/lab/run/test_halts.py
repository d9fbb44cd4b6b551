"""A wire that had no processor is told of as a stall of the whole machine."""

from __future__ import annotations

import time

import pytest

from overlaycast.lab.network.tapwire import Wire
from overlaycast.lab.run.runner import _halts


def test_late_frames_of_one_halt_are_one_halt(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire.__new__(Wire)
    wire._begin_account()
    for now, late_ms in ((100.0, 19), (100.1, 90), (100.11, 80), (100.5, 25)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        wire._record(late_ms * 1_000_000)
    assert wire._halts == [[100.11, 90.0], [100.5, 25.0]]
    stalls = _halts({"wire": {"halts": wire._halts}})
    assert [(one.host, one.end, one.waited_ms) for one in stalls] == [(None, 100.11, 90.0), (None, 100.5, 25.0)]
    assert stalls[0].begin == pytest.approx(100.02)
    assert _halts({"wire": None}) == []
