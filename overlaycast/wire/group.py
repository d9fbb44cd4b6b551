"""A group's settings: declared once, here, for the command line, the HTTP API, the store and the brain.

Owns: names, defaults and bounds. Refuses: unknown keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

Mode = Literal["live", "file"]
Strategy = Literal["location", "performance", "both"]


FILE_DEFAULTS: Final = {"heartbeat_ms": 250, "silence_ms": 1000}
"""Nobody misses anything while a file stands still: what a false alarm brings twice costs more than a late one."""


class GroupSettings(BaseModel):
    """How one group is placed, fed and watched. Times in milliseconds or seconds as the name says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field("live", description="live: a stream at its own rate; file: as fast as possible, complete")
    rate_mbit: float = Field(8.0, gt=0, le=10_000, description="rate of the stream that places are planned for")
    strategy: Strategy = Field("both", description="what decides places: router paths, measured performance, both")
    depth_limit: int = Field(10, ge=1, le=64, description="most hops from the source to any member")
    source_out_degree: int = Field(16, ge=1, le=4096, description="most members fed by the source itself")
    default_out_degree: int = Field(8, ge=0, le=4096, description="most children of a member that states no limit")
    cluster_min: int = Field(1, ge=1, description="smaller router clusters are joined to their neighbour further up")
    cluster_max: int = Field(256, ge=2, description="peers of a router cluster to one primary, see primary_copies")
    primary_copies: float = Field(
        0,
        ge=0,
        le=1000,
        description="copies of the stream that a cluster's second primary has to have shown; twice as many for the "
        "next, and so on; 0: one primary a cluster",
    )
    start_members: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="place all in one go once so many have subscribed (Fig. 5); 0: at once",
    )
    start_timeout_s: float = Field(30, gt=0, le=3600, description="begin without the missing ones after so long")
    start_from: Literal["edge", "oldest"] = Field("edge", description="where a late joiner of a live group begins")
    start_back_s: float = Field(
        0, ge=0, le=86_400, description="a late joiner of a live group begins so far back, if that is still held"
    )
    heartbeat_ms: int = Field(25, ge=5, le=10_000, description="data link heartbeat while idle; of a file 250")
    silence_ms: int = Field(
        36, ge=10, le=60_000, description="shortest silence after which the standby is asked; of a file 1000"
    )
    report_ms: int = Field(1000, ge=100, le=60_000, description="how often members report (Fig. 7)")
    rate_threshold: float = Field(
        0.8,
        ge=0,
        le=1,
        description="receiving below this share of the stream's rate counts as under-performing",
    )
    slow_after_s: float = Field(3.0, gt=0, le=600, description="under-performing for so long moves the receiver")
    lost_after_s: float = Field(5.0, gt=0, le=600, description="no control link for so long: the member is gone")
    flag_s: float = Field(3.0, gt=0, le=600, description="how long errors from inside a broken branch are set aside")
    measure: Literal["rate", "latency"] = Field(
        "rate", description="what under-performing means (Fig. 7): too low a rate, or too late"
    )
    latency_threshold_ms: float = Field(
        2000, gt=0, le=600_000, description="receiving later than this counts as under-performing, by latency"
    )
    evaluate: Literal["all", "enough"] = Field(
        "all", description="measure everybody before the start, or only until enough primaries are found (Fig. 5)"
    )
    primary_after_s: float = Field(
        0, ge=0, le=86_400, description="a late joiner is fed by the source only after so long; 0: at once"
    )
    improve_s: float = Field(10, ge=0, le=86_400, description="how often the tree may be improved; 0: never")
    improve_gain: float = Field(
        0.3,
        ge=0.05,
        le=1,
        description="least part of a member's delay, or of its copy's links, that an improvement saves",
    )

    @model_validator(mode="before")
    @classmethod
    def _be_patient_with_files(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("mode") == "file":
            return {**FILE_DEFAULTS, **given}
        return given


class MemberLimits(BaseModel):
    """What a member says it can give."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_mbit: float | None = Field(None, gt=0, le=1_000_000)
    out_degree: int | None = Field(None, ge=0, le=4096)
