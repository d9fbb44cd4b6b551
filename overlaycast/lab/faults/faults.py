"""The faults that a timeline may hold: what each is called, what it needs, how long it lasts. Pure.

Owns: names, bounds and defaults. Refuses: to do them (``injection``) and to choose their targets (``aim``).

A fault *takes away* its members if they cannot serve while it lasts; it *silences* them if their children get
nothing from them though they are there. Only members that are away for good are owed nothing.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, field_validator

from overlaycast.document.parts import Part, Seconds, Slug, Target, field_error

LEAST_STEP_S: Final = 60.0


class FaultPart(Part):
    """Fields of every fault."""

    at_s: Seconds = Field(description="seconds after the source began to send")
    id: Slug | None = Field(None, description="name in expectations and reports; default: the action and a number")

    takes_away: ClassVar[bool] = True
    silences: ClassVar[bool] = False
    aims_at: ClassVar[Literal["members", "member", "host", "link", "router", "sites", "coordinator"]] = "members"
    """members: an expression that may mean several; member: exactly one; host: a receiver, by its name, for it must
    be prepared before the run; link: an access link, an uplink, or a link by its ends."""

    @property
    def aim(self) -> str:
        """Return the target expression, or what is hit by nature."""
        return str(getattr(self, "target", "coordinator"))

    @property
    def heals_after_s(self) -> float | None:
        """Return how long the fault lasts; None: for good."""
        value: float | None = getattr(self, "heal_after_s", None)
        return value


class _Healing(FaultPart):
    heal_after_s: Seconds | None = Field(None, description="seconds until the fault is undone; default: never")


# --- members -----------------------------------------------------------------------------------------------------


class Kill(FaultPart):
    """The agent's process is killed (SIGKILL): neighbours see a reset."""

    action: Literal["kill"]
    target: Target


class Leave(FaultPart):
    """The agent receives SIGTERM and leaves properly."""

    action: Literal["leave"]
    target: Target


class Freeze(_Healing):
    """The agent's process is stopped (SIGSTOP): silence without a reset. Heals by SIGCONT."""

    action: Literal["freeze"]
    target: Target


class Restart(FaultPart):
    """The agent is killed (SIGKILL) and the same command started again; the source then sends its stream anew."""

    action: Literal["restart"]
    target: Target
    heal_after_s: Seconds = Field(0, description="seconds without an agent on the host")


# --- the network -------------------------------------------------------------------------------------------------


class LinkDown(_Healing):
    """A link loses its carrier at both ends: silence without a reset. Heals by coming up again."""

    action: Literal["link-down"]
    target: Target
    aims_at: ClassVar = "link"


class LinkFlap(FaultPart):
    """A link goes down and up again, several times."""

    action: Literal["link-flap"]
    target: Target
    times: int = Field(3, ge=1, le=100)
    down_s: float = Field(0.5, gt=0, le=60, description="seconds without carrier, each time")
    up_s: float = Field(1.0, gt=0, le=60, description="seconds with carrier, in between")
    aims_at: ClassVar = "link"

    @property
    def heals_after_s(self) -> float:
        """Return when the first outage ends; the heal goes on with the others."""
        return self.down_s


class LinkLoss(_Healing):
    """A link loses frames at random, both directions. Heals to what it lost before."""

    action: Literal["link-loss"]
    target: Target
    loss: float = Field(gt=0, le=1, description="probability that a frame is lost")
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "link"


class LinkDelay(_Healing):
    """A link takes longer, both directions. Heals to its own delay."""

    action: Literal["link-delay"]
    target: Target
    delay_ms: float = Field(ge=0, le=60_000, description="one way")
    jitter_ms: float = Field(0, ge=0, le=60_000, description="each frame takes up to this much more or less")
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "link"


class LinkRate(_Healing):
    """A link gets a lower rate, both directions. Heals to its own rate."""

    action: Literal["link-rate"]
    target: Target
    rate_mbit: float = Field(ge=0.01, le=100_000)
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "link"


class Partition(_Healing):
    """Some sites are cut from all others, but not from each other: their routers drop what would cross."""

    action: Literal["partition"]
    sites: tuple[Slug, ...] = Field(min_length=1, max_length=100, description="the sites that are cut off, together")
    aims_at: ClassVar = "sites"

    @property
    def aim(self) -> str:
        """Return the sites as one expression."""
        return ", ".join(self.sites)


class RouterDown(_Healing):
    """A router fails: all its links lose their carrier. Heals by all coming up again."""

    action: Literal["router-down"]
    target: Target
    aims_at: ClassVar = "router"


# --- the coordinator ---------------------------------------------------------------------------------------------


class _OfCoordinator(FaultPart):
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "coordinator"


class CoordinatorKill(_OfCoordinator):
    """The coordinator's process is killed (SIGKILL). Heals by starting it again on the same state."""

    action: Literal["coordinator-kill"]
    heal_after_s: Seconds | None = Field(None, description="seconds until the fault is undone; default: never")


class CoordinatorFreeze(_OfCoordinator):
    """The coordinator's process is stopped (SIGSTOP): it does not answer, and does not exit. Heals by SIGCONT."""

    action: Literal["coordinator-freeze"]
    heal_after_s: Seconds | None = Field(None, description="seconds until the fault is undone; default: never")


class CoordinatorRestart(_OfCoordinator):
    """The coordinator receives SIGTERM and is started again on the same state, as for an upgrade."""

    action: Literal["coordinator-restart"]
    heal_after_s: Seconds = Field(0, description="seconds without a coordinator")


# --- machines ----------------------------------------------------------------------------------------------------


class SlowReader(_Healing):
    """The process that reads the member's output is stopped (SIGSTOP); the pipe fills. Heals by SIGCONT."""

    action: Literal["slow-reader"]
    target: Target
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "host"


class DiskFull(FaultPart):
    """The disk that the member writes to is full."""

    action: Literal["disk-full"]
    target: Target
    aims_at: ClassVar = "host"


class ClockStep(_Healing):
    """The wall clock of the member's host jumps. Heals by jumping back."""

    action: Literal["clock-step"]
    target: Target
    by_s: float = Field(
        ge=-86_400_000, le=86_400_000, description="seconds forward, or back if negative; at least a minute"
    )
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "host"

    @field_validator("by_s")
    @classmethod
    def _far(cls, by_s: float) -> float:
        if abs(by_s) < LEAST_STEP_S:
            raise field_error(
                f"{by_s:g} is too small to be distinguished from a late sample; accepted: {LEAST_STEP_S:g} s or more"
            )
        return by_s


# --- rogue members -----------------------------------------------------------------------------------------------


class _Rogue(_Healing):
    takes_away: ClassVar[bool] = False
    aims_at: ClassVar = "host"


class Tamper(_Rogue):
    """The member forwards records with a byte changed. Heals by being honest again."""

    action: Literal["tamper"]
    target: Target


class Mute(_Rogue):
    """The member forwards nothing, but its heartbeats claim progress. Heals by being honest again."""

    action: Literal["mute"]
    target: Target
    silences: ClassVar[bool] = True


class Lie(_Rogue):
    """The member reports that its parent sends nothing, though it is fed. Heals by being honest again."""

    action: Literal["lie"]
    target: Target


Fault = Annotated[
    Kill
    | Leave
    | Freeze
    | Restart
    | LinkDown
    | LinkFlap
    | LinkLoss
    | LinkDelay
    | LinkRate
    | Partition
    | RouterDown
    | CoordinatorKill
    | CoordinatorFreeze
    | CoordinatorRestart
    | SlowReader
    | DiskFull
    | ClockStep
    | Tamper
    | Mute
    | Lie,
    Field(discriminator="action"),
]

ROGUES: Final = ("tamper", "mute", "lie")
_OF_NETWORK: Final = ("link-", "router-", "partition")


def network_fault(action: str) -> bool:
    """Return whether a fault strikes cables and routers, and no program."""
    return action.startswith(_OF_NETWORK)
