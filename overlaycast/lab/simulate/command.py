"""``overlaycast lab simulate``: the coordinator's real decisions on a map, in virtual time, beside other trees.

Owns: the options and where results go. Standard output carries the table, or with ``--json`` one JSON document.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from overlaycast.discovery.survey.survey import MOST_TARGETS
from overlaycast.errors import ConfigError
from overlaycast.lab.simulate.churn import Churn
from overlaycast.lab.simulate.draw import MAX_MEMBERS, Draw, on_map, on_topology
from overlaycast.lab.simulate.study import Document, Say, Wishes, run
from overlaycast.lab.simulate.tracing import Icmp
from overlaycast.named_files import write_text
from overlaycast.settings import Settings, load
from overlaycast.wire.group import GroupSettings, Mode, Strategy

PROG: Final = "overlaycast lab simulate"
REPORTS_PER_S: Final = 1000  # what one coordinator takes comfortably: larger groups report less often


class SimulateSettings(Settings):
    """Place members at random routers of a map, and compare the overlay's tree with others, in virtual time."""

    topology: CliPositionalArg[Path] = Field(description="a GraphML map, or a topology file (.py) with hosts in it")
    members: int = Field(100, ge=1, le=MAX_MEMBERS, description="number of members, at random routers of a map")
    seed: int = Field(1, ge=0, description="seed of every random choice")
    json_output: bool = Field(False, alias="json", description="print one JSON document instead of tables")
    output: Path | None = Field(None, description="also write the JSON document to this file")
    goals: bool = Field(False, description="exit with code 1 when a goal is missed")
    mode: Mode = Field("live", description="live: the stream's own rate; file: as fast as the slowest link allows")
    strategy: Strategy = Field("both", description="how parents are chosen: by router paths, measurements, or both")
    rate_mbit: float = Field(8.0, gt=0, le=10_000, description="rate of the stream in Mbit/s")
    uplink_mbit: float | None = Field(
        None, gt=0, le=1_000_000, description="rate of each site's uplink on a map, both ways; default: unlimited"
    )
    out_degree: int = Field(8, ge=0, le=4096, description="maximum children of a member")
    source_out_degree: int = Field(16, ge=1, le=4096, description="maximum children of the source")
    depth_limit: int = Field(10, ge=1, le=64, description="maximum hops from the source to any member")
    arrival: Literal["together", "singly"] = Field(
        "together", description="place all members at once, or one by one as they come"
    )
    settle: float = Field(
        5.0, ge=1, le=86_400, description="seconds between the moment when all are fed and the measuring of the tree"
    )
    anonymous: float = Field(0.0, ge=0, le=1, description="share of the routers that never answer a trace")
    icmp: Icmp | None = Field(
        None,
        description="find routes by probes: with Linux's stock limits on routers' answers, or off, without limits; "
        f"for up to {MOST_TARGETS} members; default: routes are known without probes",
    )
    report_ms: int | None = Field(
        None, ge=100, le=60_000, description="interval between a member's reports; default: grows with the group"
    )
    churn: float | None = Field(
        None, gt=0, le=1000, description="members that join per minute, in percent of the group"
    )
    lifetime: float = Field(600.0, gt=0, le=1e6, description="with --churn: mean seconds that a member stays")
    duration: float = Field(120.0, gt=0, le=1e6, description="with --churn: seconds that it lasts")
    crash_share: float = Field(0.5, ge=0, le=1, description="with --churn: share of departures that are crashes")
    kill: float = Field(0.0, ge=0, le=90, description="percent of the members that fail together at the end")
    death: Literal["reset", "silent"] = Field(
        "silent", description="with --kill: how they fail: connections reset, or silence"
    )


def main(argv: list[str]) -> int:
    """Run one study and print it.

    Raises:
        ConfigError: bad options, or a map that cannot be read.
        LabError: the overlay did not feed all members.
    """
    settings = load(SimulateSettings, argv, PROG)
    if settings.icmp is not None and settings.members > MOST_TARGETS:
        raise ConfigError(f"{PROG}: icmp: accepted for up to {MOST_TARGETS} members (got {settings.members})")
    draw = _draw(settings)
    began = time.monotonic()
    document = _with_progress(draw, _wishes(settings))
    elapsed = time.monotonic() - began
    text = json.dumps(document, indent=2)
    if settings.output is not None:
        try:
            write_text(settings.output, text + "\n")
        except OSError as error:
            raise ConfigError(f"{settings.output}: {error.strerror}") from None
    if settings.json_output:
        print(text)
    else:
        from rich.console import Console

        from overlaycast.lab.simulate.table import show

        console = Console()
        show(document, console)
        console.print(f"  {elapsed:.1f} s of computing", style="dim")
    return int(settings.goals and not all(goal["ok"] for goal in document["goals"]))


def _draw(settings: SimulateSettings) -> Draw:
    if settings.topology.suffix == ".graphml":
        from overlaycast.lab.topology.graphml import read_graphml

        return on_map(read_graphml(settings.topology), settings.members, settings.seed, settings.uplink_mbit)
    from overlaycast.lab.topology.loading import load_topology

    return on_topology(load_topology(settings.topology), settings.seed)


def _wishes(settings: SimulateSettings) -> Wishes:
    members = settings.members
    group = GroupSettings(
        mode=settings.mode,
        strategy=settings.strategy,
        rate_mbit=settings.rate_mbit,
        depth_limit=settings.depth_limit,
        source_out_degree=settings.source_out_degree,
        default_out_degree=settings.out_degree,
        report_ms=settings.report_ms or min(60_000, max(1000, members * 1000 // REPORTS_PER_S)),
        start_timeout_s=600,
    )
    churn = None
    if settings.churn is not None:
        churn = Churn(settings.churn, settings.lifetime, settings.duration, settings.crash_share)
    return Wishes(
        settings=group,
        seed=settings.seed,
        together=settings.arrival == "together",
        anonymous=settings.anonymous,
        icmp=settings.icmp,
        churn=churn,
        kill_percent=settings.kill,
        death=settings.death,
        settle_s=settings.settle,
    )


def _with_progress(draw: Draw, wishes: Wishes) -> Document:
    if not sys.stderr.isatty():
        return run(draw, wishes, _silent)
    from rich.console import Console

    with Console(stderr=True).status("drawing") as status:
        say: Say = status.update
        return run(draw, wishes, say)


def _silent(line: str) -> None:
    """Print nothing: there is no terminal."""
