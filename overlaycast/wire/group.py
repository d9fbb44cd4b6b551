"""A group's settings: declared once, here, for the command line, the HTTP API, the store and the overlay.

Owns: names, defaults and bounds, and which of them may change while the group runs. Refuses: unknown keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

Mode = Literal["live", "file"]
Strategy = Literal["location", "performance", "both"]


FILE_DEFAULTS: Final = {"heartbeat_ms": 250, "silence_ms": 1000}
"""A pause of a file does no harm, and a false alarm sends data twice; so file groups wait longer."""


@dataclass(frozen=True, slots=True)
class Changing:
    """What becomes of a new value while the group runs.

    Attributes:
        counts: for whom or from when on it counts; where it may not change, why. For people.
        may: it may change.
        told: members have the old value, so they are sent the new one.
    """

    counts: str
    may: bool = True
    told: bool = False


AT_ONCE: Final = Changing("at once")
TOLD: Final = Changing("at once", told=True)
NEWCOMERS: Final = Changing("for members that come later")
BEFORE_START: Final = Changing("until all are placed together")
ABOVE_TREE: Final = Changing("at once; not below the depth of the tree")
CHILDREN_STAY: Final = Changing("at once; nobody loses a child by it")
NO_MODE: Final = Changing("the source and the receivers were started for it", may=False)
NO_STRATEGY: Final = Changing("members were located by it when they came", may=False)


class GroupSettings(BaseModel):
    """How one group's tree is built, fed and watched. Times in milliseconds or seconds as the name says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Annotated[Mode, NO_MODE] = Field(
        "live", description="live: a stream at its own rate; file: as fast as possible, and complete"
    )
    rate_mbit: Annotated[float, TOLD] = Field(
        8.0, gt=0, le=10_000, description="rate of the stream in Mbit/s; the tree is planned for it"
    )
    strategy: Annotated[Strategy, NO_STRATEGY] = Field(
        "both", description="how parents are chosen: by location (router paths), performance (measurements), or both"
    )
    depth_limit: Annotated[int, ABOVE_TREE] = Field(
        10, ge=1, le=64, description="maximum hops from the source to any member"
    )
    source_out_degree: Annotated[int, CHILDREN_STAY] = Field(
        16, ge=1, le=4096, description="maximum children of the source"
    )
    default_out_degree: Annotated[int, CHILDREN_STAY] = Field(
        8, ge=0, le=4096, description="maximum children of a member that states no limit"
    )
    cluster_min: Annotated[int, AT_ONCE] = Field(
        1,
        ge=1,
        description="minimum peers of a cluster (those behind one router); a smaller one joins the next router up",
    )
    cluster_max: Annotated[int, AT_ONCE] = Field(
        256, ge=2, description="maximum peers per primary in one cluster; without effect while primary_copies is 0"
    )
    primary_copies: Annotated[float, AT_ONCE] = Field(
        0,
        ge=0,
        le=1000,
        description="measured rate, in copies of the stream, that a cluster's second primary needs; doubled for "
        "each further one; 0: one primary per cluster",
    )
    start_members: Annotated[int, BEFORE_START] = Field(
        0,
        ge=0,
        le=1_000_000,
        description="place all peers together once this many have subscribed; 0: place each one on arrival",
    )
    start_timeout_s: Annotated[float, BEFORE_START] = Field(
        30,
        gt=0,
        le=3600,
        description="seconds that the source waits for start_members; then it begins without the rest",
    )
    start_from: Annotated[Literal["edge", "oldest"], NEWCOMERS] = Field(
        "edge",
        description="where a late joiner of a live group begins: at the newest record (edge), or the oldest one held",
    )
    start_back_s: Annotated[float, NEWCOMERS] = Field(
        0,
        ge=0,
        le=86_400,
        description="a late joiner of a live group begins this many seconds back, if its parent still holds them",
    )
    heartbeat_ms: Annotated[int, TOLD] = Field(
        25, ge=5, le=10_000, description="heartbeat interval of an idle data link; file groups: 250"
    )
    silence_ms: Annotated[int, TOLD] = Field(
        36,
        ge=10,
        le=60_000,
        description="minimum silence after which a member asks its standby for data; file groups: 1000",
    )
    report_ms: Annotated[int, TOLD] = Field(1000, ge=100, le=60_000, description="interval between a member's reports")
    rate_threshold: Annotated[float, AT_ONCE] = Field(
        0.8,
        ge=0,
        le=1,
        description="a member under-performs when it receives less than this share of the stream's rate",
    )
    slow_after_s: Annotated[float, AT_ONCE] = Field(
        3.0, gt=0, le=600, description="seconds of under-performing after which a member gets a new parent"
    )
    lost_after_s: Annotated[float, AT_ONCE] = Field(
        5.0, gt=0, le=600, description="seconds without a control link after which a member counts as gone"
    )
    flag_s: Annotated[float, TOLD] = Field(
        3.0,
        gt=0,
        le=600,
        description="seconds that members below a broken link wait for its repair before anything is done for them",
    )
    measure: Annotated[Literal["rate", "latency"], AT_ONCE] = Field(
        "rate", description="what under-performing means: data comes too slowly (rate) or too late (latency)"
    )
    latency_threshold_ms: Annotated[float, AT_ONCE] = Field(
        2000,
        gt=0,
        le=600_000,
        description="with measure=latency, a member under-performs when data comes by so much later than it did lately",
    )
    evaluate: Annotated[Literal["all", "enough"], BEFORE_START] = Field(
        "all",
        description="which members to measure before the start: all, or only until there are enough primaries (enough)",
    )
    primary_after_s: Annotated[float, AT_ONCE] = Field(
        0, ge=0, le=86_400, description="seconds after which a late joiner may become a primary; 0: at once"
    )
    improve_s: Annotated[float, AT_ONCE] = Field(
        10, ge=0, le=86_400, description="interval between improvements of the tree; 0: never"
    )
    improve_gain: Annotated[float, AT_ONCE] = Field(
        0.3,
        ge=0.05,
        le=1,
        description="share of the delay, or of the links that a copy crosses, that an improvement must save",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _be_patient_with_files(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """What is filled in does not count as given (``model_fields_set``)."""
        if not isinstance(given, dict) or given.get("mode") != "file":
            return handler(given)
        settings = handler({**FILE_DEFAULTS, **given})
        settings.model_fields_set.intersection_update(given)
        return settings


def changing(name: str) -> Changing:
    """Return what becomes of a new value of the setting ``name`` while the group runs."""
    [declared] = [one for one in GroupSettings.model_fields[name].metadata if isinstance(one, Changing)]
    return declared


class MemberLimits(BaseModel):
    """What a member offers to carry."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    upload_mbit: float | None = Field(None, gt=0, le=1_000_000)
    out_degree: int | None = Field(None, ge=0, le=4096)
