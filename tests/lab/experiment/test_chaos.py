"""A drawn timeline is an experiment like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from overlaycast.document import placed_yaml
from overlaycast.errors import ConfigError
from overlaycast.lab.experiment import casting, chaos, experiment, reading
from overlaycast.lab.experiment import derived as drawn
from overlaycast.lab.faults.faults import Kill, Leave
from tests.lab import made_up

BASE = """\
name: base
topology: {file: topologies/figure_2a.py}
stream: {kind: synthetic, seconds: 20}
timeline:
  - {at_s: 5, id: mine, action: kill, target: leaf}
arrival: {kind: spread, over_s: 3}
repeat: 3
expect:
  - {metric: lost, op: "==", limit: 0}
  - {metric: recovered_ms, op: "<=", limit: 0, fault: mine}
"""
TOPOLOGY = made_up.topology()
FILE = made_up.ROOT / "base.yaml"


def document() -> placed_yaml.PlacedYaml:
    """Return the experiment that chaos is made of."""
    return placed_yaml.parse(BASE, FILE)


@given(st.integers(0, 10_000), st.floats(chaos.SHORTEST_S, 60))
@settings(max_examples=60, deadline=None)
def test_every_draw_can_be_played_and_leaves_enough_alive(seed: int, stream_s: float) -> None:
    _, cast, _ = made_up.experiment()
    values = {**yaml.safe_load(BASE), "timeline": chaos.draw(cast, TOPOLOGY.sites, seed, stream_s)}
    values["stream"]["seconds"] = stream_s
    values["expect"] = values["expect"][:1]
    placed = placed_yaml.parse(yaml.safe_dump(values), FILE)
    parsed = experiment.parse(placed)
    chosen = casting.cast(placed, parsed, casting.castable(TOPOLOGY))
    casting.check_faults(placed, parsed, chosen, TOPOLOGY)
    for_good = [fault for fault in parsed.timeline if isinstance(fault, Kill | Leave)]
    assert len(for_good) <= chaos.AWAY * len(cast.peers)
    assert parsed.timeline
    for fault in parsed.timeline:
        assert fault.at_s + (fault.heals_after_s or 0) <= stream_s - chaos.QUIET_S + 1.02


def test_the_same_seed_draws_the_same() -> None:
    _, cast, _ = made_up.experiment()
    first = chaos.draw(cast, TOPOLOGY.sites, 7, 20)
    assert first == chaos.draw(cast, TOPOLOGY.sites, 7, 20)
    assert first != chaos.draw(cast, TOPOLOGY.sites, 8, 20)


def test_what_is_written_can_be_run_from_where_it_lies(tmp_path: Path) -> None:
    parsed = experiment.parse(document())
    cast = casting.cast(document(), parsed, casting.castable(TOPOLOGY))
    to = tmp_path / "deep" / "chaos.yaml"
    drawn.write(drawn.chaotic(document(), parsed, TOPOLOGY, cast, 3, to), to, "drawn")
    [one] = reading.runs(to)
    assert one.experiment.name == "base-chaos-3"
    assert one.experiment.arrival.kind == "at-once"
    assert [asked.metric for asked in one.experiment.expect] == ["lost"]
    assert to.read_text().startswith("# drawn\n")


def test_a_part_of_a_timeline_keeps_what_is_said_of_its_faults(tmp_path: Path) -> None:
    to = tmp_path / "part.yaml"
    values = drawn.with_timeline(document(), document().values["timeline"], to)
    assert len(values["expect"]) == 2
    assert len(drawn.with_timeline(document(), [], to)["expect"]) == 1


def test_chaos_needs_a_stream_of_known_length(tmp_path: Path) -> None:
    text = BASE.replace("seconds: 20", "seconds: 6")
    placed = placed_yaml.parse(text, FILE)
    parsed = experiment.parse(placed)
    cast = casting.cast(placed, parsed, casting.castable(TOPOLOGY))
    with pytest.raises(ConfigError, match=r"base\.yaml:3: stream: chaos needs a stream of known length"):
        drawn.chaotic(placed, parsed, TOPOLOGY, cast, 1, tmp_path / "x.yaml")
