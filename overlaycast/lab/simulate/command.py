"""``overlaycast lab simulate``: the real core on a map, in virtual time, beside what others would do.

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

from overlaycast.errors import ConfigError
from overlaycast.lab.simulate.churn import Churn
from overlaycast.lab.simulate.draw import MAX_MEMBERS, Draw, on_map, on_topology
from overlaycast.lab.simulate.study import Document, Say, Wishes, run
from overlaycast.settings import Settings, load
from overlaycast.wire.group import GroupSettings, Mode, Strategy

PROG: Final = "overlaycast lab simulate"
REPORTS_PER_S: Final = 1000  # what one coordinator takes comfortably: larger groups report less often


class SimulateSettings(Settings):
    """Place members at random routers of a map and compare the overlay with other ways, in virtual time."""

    topology: CliPositionalArg[Path] = Field(description="a GraphML map, or a topology file (.py) taken as it stands")
    members: int = Field(100, ge=1, le=MAX_MEMBERS, description="how many, at uniformly random routers of a map")
    seed: int = Field(1, ge=0, description="decides everything that is left to chance")
    json_output: bool = Field(False, alias="json", description="print one JSON document")
    output: Path | None = Field(None, description="write the JSON document there as well")
    goals: bool = Field(False, description="exit with 1 when a goal is missed")
    mode: Mode = Field("live", description="live: the stream's own rate; file: as fast as the slowest link allows")
    strategy: Strategy = Field("both", description="what decides places")
    rate_mbit: float = Field(8.0, gt=0, le=10_000, description="the stream's rate")
    uplink_mbit: float | None = Field(None, gt=0, le=1_000_000, description="each site's uplink on a map, both ways")
    out_degree: int = Field(8, ge=0, le=4096, description="most children of a member")
    source_out_degree: int = Field(16, ge=1, le=4096, description="most children of the source")
    depth_limit: int = Field(10, ge=1, le=64, description="most hops from the source")
    arrival: Literal["together", "singly"] = Field("together", description="placed in one go (Fig. 5) or one by one")
    settle: float = Field(5.0, ge=1, le=86_400, description="seconds from the start until the tree is measured")
    anonymous: float = Field(0.0, ge=0, le=1, description="share of the routers that never answer a trace")
    report_ms: int | None = Field(None, ge=100, le=60_000, description="how often members report; grows with the group")
    churn: float | None = Field(None, gt=0, le=1000, description="newcomers per minute, in percent of the members")
    lifetime: float = Field(600.0, gt=0, le=1e6, description="mean time in seconds that a newcomer stays")
    duration: float = Field(120.0, gt=0, le=1e6, description="seconds of churn")
    crash_share: float = Field(0.5, ge=0, le=1, description="share of those who go that crash; the others leave")
    kill: float = Field(0.0, ge=0, le=90, description="percent of the members that die at once in the end")
    death: Literal["reset", "silent"] = Field("silent", description="how those die")


def main(argv: list[str]) -> int:
    """Run one study and print it.

    Raises:
        ConfigError: bad options, or a map that cannot be read.
        LabError: the overlay did not come to feed everybody.
    """
    settings = load(SimulateSettings, argv, PROG)
    draw = _draw(settings)
    began = time.monotonic()
    document = _with_progress(draw, _wishes(settings))
    elapsed = time.monotonic() - began
    text = json.dumps(document, indent=2)
    if settings.output is not None:
        try:
            settings.output.write_text(text + "\n")
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
    """Say nothing: nobody is at the terminal."""
