"""What members say is untrusted: no valid message, however odd its figures, may end the brain or move another."""

from __future__ import annotations

import json

import pytest

from overlaycast.overlay import Measurement, Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Address, ChildReport, Report, Resume, Role, Subscribe, encode

KEY = bytes(32)


def subscription(name: str, role: Role = "peer", resume: Resume | None = None) -> Subscribe:
    return Subscribe(
        version=1,
        group="g",
        token="t",
        name=name,
        role=role,
        addresses=(Address(host="10.0.0.2", port=8471),),
        resume=resume,
    )


def world(path: tuple[str | None, ...], settings: GroupSettings | None = None) -> tuple[Overlay, int, int]:
    """Return a brain with a source and one member at the end of a path."""
    overlay = Overlay(settings or GroupSettings(), KEY)
    source, member = overlay.join(subscription("s", "source"), 1000.0), overlay.join(subscription("a"), 1000.0)
    for one, way in ((source, ("r0",)), (member, path)):
        overlay.measured(one, Measurement(path=way, rtt_ms=1.0, rate_mbit=None), 1001.0)
    overlay.messages_to_send()
    return overlay, source, member


@pytest.mark.parametrize(
    "path", [("r0", "r1"), ("r0", None, "r1"), ("r0", None, None, "r1"), (None, None, None, "r1"), ("r0", None, None)]
)
def test_a_restart_finds_places_behind_silent_routers(path: tuple[str | None, ...]) -> None:
    overlay, _, member = world(path)
    kept = json.loads(json.dumps(overlay.snapshot()))
    again = Overlay.restore(GroupSettings(), KEY, kept, 1002.0)
    assert json.loads(json.dumps(again.snapshot()))["places"] == kept["places"]
    other = again.join(subscription("b"), 1003.0)
    again.measured(other, Measurement(path=path, rtt_ms=1.0, rate_mbit=None), 1003.0)
    assert {one.id for one in again.members()} >= {member, other}


@pytest.mark.parametrize("mode", ["live", "file"])
@pytest.mark.parametrize("rate", [None, 1e-9, 1e9])
def test_impossible_rates_are_only_rates(mode: str, rate: float | None) -> None:
    overlay, source, member = world(("r0", "r1"), GroupSettings(mode=mode))
    for one, way in ((source, ("r0",)), (member, ("r0", "r1"))):
        overlay.measured(one, Measurement(path=way, rtt_ms=1.0, rate_mbit=rate), 1002.0)
    for reporter in (source, member):
        report = Report(
            epoch=9, parent=None, state="streaming", next_seq=1, interval_ms=1e-300, bytes=1 << 62, records=1
        )
        overlay.receive(reporter, report, 1003.0)
    late = overlay.join(subscription("b"), 1004.0)
    overlay.measured(late, Measurement(path=("r0", "r2"), rtt_ms=1.0, rate_mbit=rate), 1004.0)
    overlay.tick(1010.0)
    orders = [(target, encode(message)) for target, message in overlay.messages_to_send()]
    assert any(target == late for target, _ in orders)
    json.dumps(overlay.snapshot(), allow_nan=False)


def test_only_its_parent_speaks_for_a_child() -> None:
    overlay, _, member = world(("r0", "r1"))
    stranger = overlay.join(subscription("b"), 1002.0)
    claim = (ChildReport(child=member, next_seq=1 << 62),)
    report = Report(epoch=0, state="waiting", next_seq=0, interval_ms=1, bytes=0, records=0, children=claim)
    overlay.receive(stranger, report, 1003.0)
    (seen,) = [one for one in overlay.members() if one.id == member]
    assert seen.next_seq < 1 << 62


def test_an_epoch_beyond_all_measure_is_not_taken_over() -> None:
    overlay, _, member = world(("r0", "r1"))
    overlay.disconnected(member, 1002.0)
    resume = Resume(member=member, secret="s" * 16, epoch=(1 << 53) - 1, rank=1, next_seq=0)
    overlay.resume(subscription("a", resume=resume), 1003.0)
    assert overlay.epoch < 1 << 40
    late = overlay.join(subscription("b"), 1004.0)
    overlay.measured(late, Measurement(path=("r0", "r2"), rtt_ms=1.0, rate_mbit=None), 1005.0)
    overlay.tick(1006.0)
    assert [encode(message) for _, message in overlay.messages_to_send()]
