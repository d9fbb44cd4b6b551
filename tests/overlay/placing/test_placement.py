"""Choosing parents: thin uplinks, planted servers, those who cannot forward, strategies, chains of sites."""

from __future__ import annotations

import pytest

from overlaycast.overlay.placing import placement
from overlaycast.overlay.plan import moves
from overlaycast.wire.messages import Begin, Done, Failed, NotReceiving, Released
from tests.overlay.scene import Scene, after_a_death, figure_2a, inside, record


def six_sites(mode: str, members: int = 8, uplink: float = 20.0, **settings: object) -> Scene:
    """Six sites behind thin uplinks; nobody there has shown more than an uplink's rate."""
    scene = Scene(mode=mode, rate_mbit=8, start_members=6 * members, **settings)
    scene.join("source", ("server",), "source", rtt_ms=0.2, rate_mbit=1000)
    for number in range(6 * members):
        scene.join(f"m{number}", ("server", "core", f"site {number % 6}"), rtt_ms=14, rate_mbit=uplink)
    return scene


def crossings(scene: Scene) -> tuple[dict[str, int], dict[str, int]]:
    """Return copies into and out of each site and, as "server", out of the source's site."""
    seats = {seat.id: seat for seat in scene.overlay.tree().members}
    into: dict[str, int] = {}
    out: dict[str, int] = {}
    for seat in seats.values():
        site, feeder = str(seat.site), str(seats[seat.parent].site) if seat.parent else None
        if feeder is not None and feeder != site:
            into[site] = into.get(site, 0) + 1
            out[feeder] = out.get(feeder, 0) + 1
    return into, out


def test_a_file_goes_along_a_chain_of_sites() -> None:
    into, out = crossings(six_sites("file"))
    assert set(into.values()) == {1}
    assert set(out.values()) == {1}


def test_a_live_group_loads_no_uplink_beyond_what_it_carries() -> None:
    into, out = crossings(six_sites("live"))
    assert set(into.values()) == {1}
    assert max(out.values()) * 8 <= 0.9 * 20


def test_a_chain_that_would_be_too_deep_branches() -> None:
    scene = Scene(mode="file", rate_mbit=8, depth_limit=5, start_members=20)
    scene.join("source", ("server",), "source", rate_mbit=1000)
    for number in range(20):
        scene.join(f"m{number}", ("server", "core", f"site {number}"), rate_mbit=20)
    counters = scene.overlay.counters()
    assert (counters.waiting, counters.placed) == (0, 21)
    assert counters.depth <= 5


def test_a_planted_server_feeds_its_place_and_a_backup_feeds_nobody() -> None:
    scene = Scene(start_members=4, rate_mbit=8)
    scene.join("source", ("server",), "source")
    scene.join("backup", ("server", "core"), "backup")
    for name in ("ann", "bob", "cat", "dan"):
        scene.join(name, ("server", "core", "site"), rate_mbit=20)
    scene.join("planted", ("server", "core", "site"), "relay", rate_mbit=20)
    assert scene.parents()["planted"] in ("source", "ann")
    assert scene.children("backup") == []
    fresh = Scene(start_members=4, rate_mbit=8)
    fresh.join("planted", ("server", "core", "site"), "relay", rate_mbit=20)
    for name in ("ann", "bob", "cat", "dan"):
        fresh.join(name, ("server", "core", "site"), rate_mbit=20)
    fresh.join("source", ("server",), "source")
    assert fresh.parents() == {"source": None, "planted": "source"} | dict.fromkeys(
        ("ann", "bob", "cat", "dan"), "planted"
    )


def test_who_cannot_be_dialled_is_fed_by_who_can() -> None:
    scene = Scene(start_members=4, default_out_degree=4)
    scene.join("source", ("server",), "source")
    for name in ("ann", "bob", "cat"):
        scene.join(name, ("server", "site"), reachable=False)
    scene.join("dan", ("server", "site"))
    assert scene.children("dan") == ["ann", "bob", "cat"]


def test_stated_upload_limits_the_degree() -> None:
    scene = Scene(start_members=3, rate_mbit=8)
    scene.join("source", ("server",), "source", upload_mbit=25)
    for name in ("ann", "bob", "cat"):
        scene.join(name, ("server", f"site {name}"), upload_mbit=8)
    # 0.8 * 25 / 8 is two, 0.8 * 8 / 8 is none: one of the three has to wait
    assert len(scene.children("source")) == 2
    assert scene.overlay.counters().waiting == 1
    scene.join("dan", ("server", "site dan"), upload_mbit=25)
    waiting = [name for name, parent in scene.parents().items() if parent is None]
    assert len(waiting) == 3  # the source, and the two for whom nobody has room
    scene.kill(scene[scene.children("source")[0]])
    scene.pass_time(10)
    assert scene.overlay.counters().waiting == 0


@pytest.mark.parametrize("strategy", ["location", "performance", "both"])
def test_every_strategy_feeds_everybody(strategy: str) -> None:
    scene = figure_2a(strategy=strategy)
    assert scene.overlay.counters().placed == 16


def test_by_performance_alone_the_best_are_primaries() -> None:
    scene = Scene(strategy="performance", source_out_degree=2, default_out_degree=2, start_members=6)
    scene.join("source", ("server",), "source", rtt_ms=0.1)
    for number in range(6):
        scene.join(f"m{number}", ("server", f"site {number}"), rtt_ms=100 - 15 * number)
    assert scene.children("source") == ["m4", "m5"]


def test_by_location_performance_does_not_matter() -> None:
    scene = Scene(strategy="location", start_members=2)
    scene.join("source", ("server",), "source", rtt_ms=0.1)
    scene.join("ann", ("server", "site"), rtt_ms=200)
    scene.join("bob", ("server", "site"), rtt_ms=10)
    assert scene.children("source") == ["ann"]


def test_enough_are_measured_before_all_are() -> None:
    scene = Scene(evaluate="enough", source_out_degree=2, start_members=5)
    scene.join("source", ("server",), "source")
    actors = [scene.join(f"m{number}", measure=False) for number in range(5)]
    for actor in actors[:2]:
        scene.measure(actor, ("server", "site"))
    assert scene.overlay.counters().started
    for actor in actors[2:]:
        scene.measure(actor, ("server", "site"))
    assert scene.overlay.counters().placed == 6


def test_a_newcomer_on_probation_is_no_primary_until_it_has_received_for_long() -> None:
    scene = Scene(primary_after_s=100, improve_s=10, report_ms=1000)
    scene.join("source", ("server",), "source", rtt_ms=0.2)
    scene.join("ann", ("server", "one"), rtt_ms=80)
    scene.join("bob", ("server", "two"), rtt_ms=80)
    assert scene.parents()["bob"] == "ann"
    scene.pass_time(60)
    assert scene.parents()["bob"] == "ann"
    scene.pass_time(120)
    assert scene.parents()["bob"] == "source"


def test_guests_of_a_backup_server_go_back_to_peers_when_the_failure_is_over() -> None:
    scene, heir = after_a_death()
    assert scene.parents()[heir] == "backup"
    scene.pass_time(120)
    assert scene.children("backup") == []
    assert scene.parents()[heir] == "source"


def test_without_a_timeout_the_start_waits_for_all_and_then_no_longer() -> None:
    scene = Scene(start_members=3, start_timeout_s=20)
    scene.join("source", ("server",), "source")
    scene.join("ann", ("server", "site"))
    scene.pass_time(15, reports=False)
    assert not scene.overlay.counters().started
    scene.pass_time(10, reports=False)
    assert scene.parents()["ann"] == "source"


def test_a_source_that_comes_back_goes_on_where_its_children_are() -> None:
    scene = figure_2a()
    scene.pass_time(3)
    before = {name for name in scene.children("source") if name != "backup"}
    furthest = max(actor.next_seq for actor in scene.actors.values())
    scene.kill(scene["source"])
    for name in before:
        scene.complain(scene[name])
    scene.deliver()
    source = scene.join("source", role="source", measure=False)
    scene.deliver()
    begin = next(message for message in source.heard if isinstance(message, Begin))
    assert (begin.incarnation, begin.next_seq) == (1, furthest)
    seats = {seat.name: seat for seat in scene.overlay.tree().members if seat.id != source.id}
    assert {name for name in before if seats[name].parent == source.id} == before


def test_one_that_fails_is_treated_like_one_that_leaves() -> None:
    scene = figure_2a()
    scene.say(scene["c1"], Failed(reason="disk full"))
    scene.deliver()
    assert any(isinstance(message, Released) for message in scene["c1"].heard)
    assert scene.children("c1") == []
    assert "failed" in scene.kinds()


def test_who_is_done_goes_without_moving_anybody() -> None:
    scene = figure_2a()
    for actor in scene.actors.values():
        if actor.role == "peer":
            scene.say(actor, Done(next_seq=5, sha256="0" * 64, ok=True))
    scene.deliver()
    before = len(scene.sent)
    scene.kill(scene["c1"])
    assert not any(message.kind == "assign" for _, message in scene.sent[before:])
    assert "c1" not in scene.parents()


def test_thirty_percent_at_once_are_repaired_within_everybodys_limits() -> None:
    scene = Scene(start_members=60, default_out_degree=3, rate_mbit=8)
    scene.join("source", ("server",), "source")
    scene.join("backup", ("server", "core"), "backup")
    for number in range(60):
        scene.join(f"m{number}", ("server", "core", f"site {number % 6}"), rate_mbit=20)
    dead = [f"m{number}" for number in range(0, 60, 3)]
    for name in dead:
        scene[name].answers = False
    for name in dead:
        scene.kill(scene[name])
    for actor in list(scene.actors.values()):
        if actor.answers and actor.parent and not scene.actors[actor.parent].answers:
            scene.complain(actor, reason="reset")
            scene.deliver()
    scene.pass_time(30)
    group = scene.overlay._group
    assert scene.overlay.counters().placed == 42
    assert all(len(one.children) + one.promised <= one.degree for one in group.members.values())


def test_an_error_about_an_order_that_was_replaced_is_ignored() -> None:
    scene = figure_2a()
    old = NotReceiving(epoch=0, parent=scene["d1"].id, next_seq=0, silent_ms=80, reason="silence")
    scene.say(scene["c2"], old)
    assert scene.overlay.messages_to_send() == []


def test_a_member_that_is_kept_away_from_all_who_have_room_is_forgiven() -> None:
    scene = Scene(source_out_degree=2, improve_s=0)
    scene.join("s", ("r0",), "source")
    scene.join("a", ("r0", "r1"))
    group, orphan = inside(scene), record(scene, "a")
    source = moves.detach(group, orphan)
    assert source is not None
    orphan.barred = (source.id,)
    assert placement.attach_to_best(group, orphan)
    assert orphan.parent is source
    assert not orphan.barred
