"""A group's settings: declared once, here, for the command line, the HTTP API, the store and the overlay.

Owns: names, defaults and bounds. Refuses: unknown keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

Mode = Literal["live", "file"]
Strategy = Literal["location", "performance", "both"]


FILE_DEFAULTS: Final = {"heartbeat_ms": 250, "silence_ms": 1000}
"""A pause of a file does no harm, and a false alarm sends data twice; so file groups wait longer."""


class GroupSettings(BaseModel):
    """How one group's tree is built, fed and watched. Times in milliseconds or seconds as the name says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Mode = Field("live", description="live: a stream at its own rate; file: as fast as possible, and complete")
    rate_mbit: float = Field(
        8.0, gt=0, le=10_000, description="rate of the stream in Mbit/s; the tree is planned for it"
    )
    strategy: Strategy = Field(
        "both", description="how parents are chosen: by location (router paths), performance (measurements), or both"
    )
    depth_limit: int = Field(10, ge=1, le=64, description="maximum hops from the source to any member")
    source_out_degree: int = Field(16, ge=1, le=4096, description="maximum children of the source")
    default_out_degree: int = Field(8, ge=0, le=4096, description="maximum children of a member that states no limit")
    cluster_min: int = Field(
        1,
        ge=1,
        description="minimum peers of a cluster (those behind one router); a smaller one joins the next router up",
    )
    cluster_max: int = Field(256, ge=2, description="maximum peers per primary in one cluster; see primary_copies")
    primary_copies: float = Field(
        0,
        ge=0,
        le=1000,
        description="measured rate, in copies of the stream, that a cluster's second primary needs; doubled for "
        "each further one; 0: one primary per cluster",
    )
    start_members: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="place all peers together once this many have subscribed; 0: place each one on arrival",
    )
    start_timeout_s: float = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that the source waits for start_members; then it begins without the rest",
    )
    start_from: Literal["edge", "oldest"] = Field(
        "edge",
        description="where a late joiner of a live group begins: at the newest record (edge), or the oldest one held",
    )
    start_back_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="a late joiner of a live group begins this many seconds back, if its parent still holds them",
    )
    heartbeat_ms: int = Field(
        25, ge=5, le=10_000, description="heartbeat interval of an idle data link; file groups: 250"
    )
    silence_ms: int = Field(
        36,
        ge=10,
        le=60_000,
        description="minimum silence after which a member asks its standby for data; file groups: 1000",
    )
    report_ms: int = Field(1000, ge=100, le=60_000, description="interval between a member's reports")
    rate_threshold: float = Field(
        0.8,
        ge=0,
        le=1,
        description="a member under-performs when it receives less than this share of the stream's rate",
    )
    slow_after_s: float = Field(
        3.0, gt=0, le=600, description="seconds of under-performing after which a member gets a new parent"
    )
    lost_after_s: float = Field(
        5.0, gt=0, le=600, description="seconds without a control link after which a member counts as gone"
    )
    flag_s: float = Field(
        3.0,
        gt=0,
        le=600,
        description="seconds that members below a broken link wait for its repair before anything is done for them",
    )
    measure: Literal["rate", "latency"] = Field(
        "rate", description="what under-performing means: data comes too slowly (rate) or too late (latency)"
    )
    latency_threshold_ms: float = Field(
        2000,
        gt=0,
        le=600_000,
        description="with measure=latency, a member under-performs when data comes by so much later than it did lately",
    )
    evaluate: Literal["all", "enough"] = Field(
        "all",
        description="which members to measure before the start: all, or only until there are enough primaries (enough)",
    )
    primary_after_s: float = Field(
        0, ge=0, le=86_400, description="seconds after which a late joiner may become a primary; 0: at once"
    )
    improve_s: float = Field(10, ge=0, le=86_400, description="interval between improvements of the tree; 0: never")
    improve_gain: float = Field(
        0.3,
        ge=0.05,
        le=1,
        description="share of the delay, or of the links that a copy crosses, that an improvement must save",
    )

    @model_validator(mode="before")
    @classmethod
    def _be_patient_with_files(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("mode") == "file":
            return {**FILE_DEFAULTS, **given}
        return given


class MemberLimits(BaseModel):
    """What a member offers to carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    upload_mbit: float | None = Field(None, gt=0, le=1_000_000)
    out_degree: int | None = Field(None, ge=0, le=4096)
