"""What the coordinator's HTTP API takes and answers: one model for each body, shared by its writer and its readers.

Owns: names and shapes of groups, members, trees, events and counters as people and tools see them. Refuses: secrets
other than a new group's token, and decisions.

Every answer but an error carries ``api_version``. Fields may be added without a new version; a reader passes over what
it does not know. A field that goes or changes its meaning makes a new version.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from overlaycast.wire.group import GroupName, GroupSettings, Mode

API_VERSION: Final = 1

TokenTtl = Annotated[float, Field(gt=0, le=10 * 365 * 86400)]
"""Seconds for which a join token admits new members."""


class NewGroup(BaseModel):
    """A request to make a group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: GroupName
    settings: GroupSettings = GroupSettings()
    token_ttl_s: TokenTtl | None = None


class GroupChange(BaseModel):
    """A request to change settings of a group: those that are given change, all others stay as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: GroupSettings


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Answer(_View):
    api_version: int = Field(API_VERSION, description="version of this API; grows when a field goes or changes meaning")


class ErrorView(_View):
    """The answer to a request that is refused."""

    error: str = Field(description="what is wrong, in one line")


class HealthView(_Answer):
    """The coordinator answers."""

    status: str = "ok"
    version: str = Field(description="of overlaycast")


# --- groups ----------------------------------------------------------------------------------------------------


class GroupSummary(_View):
    """One group, in short."""

    name: str
    mode: Mode
    epoch: int
    created: float = Field(description="seconds since 1970")
    token_expires: float | None = Field(None, description="seconds since 1970; null: never")
    members: int
    connected: int = Field(description="members with a control link")


class GroupView(GroupSummary, _Answer):
    """One group and its settings."""

    settings: GroupSettings


class GroupsView(_Answer):
    """All groups, by name."""

    groups: tuple[GroupSummary, ...]


class CreatedView(_Answer):
    """A group was made. Its join token is in this answer and nowhere else."""

    name: str
    token: str = Field(repr=False)


class ChangedView(_Answer):
    """Settings of a group were changed, or would be."""

    name: str
    changed: dict[str, tuple[Any, Any]] = Field(description="what differed, by name: the old and the new value")
    refused: dict[str, str] = Field({}, description="what may not change, by name, and why; all stays as it is then")


class DeletedView(_Answer):
    """A group was ended and forgotten."""

    deleted: str


# --- members and the tree --------------------------------------------------------------------------------------


class SeatView(_View):
    """Where one member is in the tree. Members are named by their ids."""

    id: int
    name: str
    role: str
    host: str | None = None
    site: str | None = None
    parent: int | None = None
    rank: int = 0
    depth: int = 0
    primary: bool = False
    standbys: tuple[int, ...] = ()
    state: str = ""
    receive_mbit: float | None = Field(None, description="what it says it receives")
    latency_ms: float | None = Field(None, description="how late its data comes, by its own clock and the source's")
    lost: int = Field(0, description="records that never reached it, as it says")
    behind: str | None = Field(
        None, description="what of it cannot keep up: output, link, parent, processor; null: it does"
    )


class PerformanceView(_View):
    """What the echo measured."""

    rtt_ms: float | None = None
    rate_mbit: float | None = None


class MemberView(SeatView):
    """All that is known of one member (Fig. 6B)."""

    connected: bool = True
    reachable: bool = True
    addresses: tuple[str, ...] = ()
    performance: PerformanceView = PerformanceView()
    transmit_mbit: float | None = Field(None, description="what its children say they receive from it")
    routers: tuple[str | None, ...] = Field((), description="on its path, nearest first; null: it did not answer")
    children: tuple[int, ...] = ()
    degree: int = Field(0, description="most children it may have")
    next_seq: int = Field(0, description="the record that it expects next")
    fed_by: int | None = Field(None, description="the member that its newest record came from; null: it has none")
    links_failed: int = Field(0, description="links to parents, and calls of children, that have failed, as it says")
    asked_in_vain: int = Field(0, description="parents that it has asked for data in vain, as it says")
    status: str = ""
    failures: int = 0


class MembersView(_Answer):
    """All members, in order of id."""

    members: tuple[MemberView, ...]


class TreeView(_Answer):
    """Which member feeds which: every member's seat, in order of id."""

    epoch: int
    root: int | None = Field(None, description="the source's id")
    members: tuple[SeatView, ...]


# --- keeping a group running -----------------------------------------------------------------------------------


class NamedMember(_View):
    """A member's number and its name."""

    id: int
    name: str


class DrainView(_Answer):
    """Whether a member is drained: its children are fed by others, it gets no new ones, and goes on receiving."""

    member: int
    name: str
    draining: bool
    left: tuple[NamedMember, ...] = Field((), description="members that still need it; its host can be stopped if none")


class MoveView(_View):
    """A member gets another parent."""

    member: NamedMember
    was: NamedMember
    now: NamedMember
    gain_links: int | None = Field(None, description="links that its copy no longer passes; null: not looked at")
    gain_ms: float | None = Field(None, description="by how much sooner it gets its data; null: not looked at")


class RebalancedView(_Answer):
    """What was moved to improve the tree."""

    moves: tuple[MoveView, ...]
    hindrance: str | None = Field(None, description="why nobody who is well is moved now; null: nothing hinders it")


# --- events and counters ---------------------------------------------------------------------------------------


class EventView(_View):
    """Something that happened in a group; the number ``n`` grows by one, and further at a restart."""

    n: int
    t: float = Field(description="seconds since 1970")
    kind: str
    member: int | None = None
    details: dict[str, Any] = {}


class EventsView(_Answer):
    """Some events, oldest first; ``next`` is the number to go on from."""

    events: tuple[EventView, ...]
    next: int


class CountersView(_View):
    """What has happened in a group since this coordinator started, and what there is."""

    events: dict[str, int] = Field({}, description="how often each kind of event has happened")
    epoch: int = 0
    members: int = 0
    placed: int = Field(0, description="members in the tree, with the source")
    waiting: int = Field(0, description="members that wait for a parent")
    primaries: int = 0
    depth: int = 0
    started: bool = False
    begun: bool = False
    incarnation: int = 0
    links_failed: int = Field(0, description="links to parents, and calls of children, that failed, over all members")
    asked_in_vain: int = Field(0, description="parents that were asked for data in vain, over all members")


class MetricsView(CountersView, _Answer):
    """A group's counters, and what its control links have carried."""

    connected: int = 0
    control_bytes: int = 0
    control_messages: int = 0
    control_bytes_in: int = 0
    control_bytes_out: int = 0
    control_messages_in: int = 0
    control_messages_out: int = 0
