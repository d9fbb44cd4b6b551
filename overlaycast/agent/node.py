"""One member of a group from its welcome on: its parts put together, and what it does with orders and with records.

Owns: which parts a source, a peer and a relay have, and which of them an order or a read goes to. Refuses: to decide
about parents (``failover``), to look into records, and to run the program (``agent``).
"""

from __future__ import annotations

import asyncio
import random
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from overlaycast.agent.console import Console
from overlaycast.agent.departure import Departure
from overlaycast.agent.distances import Distances
from overlaycast.agent.ends.delivery import Forwarded, Sent, Written
from overlaycast.agent.ends.media import FileInput, Input
from overlaycast.agent.ends.output import Output, Spool
from overlaycast.agent.ends.sink import Sink
from overlaycast.agent.ends.source import StreamPump, schedule_for
from overlaycast.agent.ends.source_feed import SourceFeed
from overlaycast.agent.figures import Figures
from overlaycast.agent.files.file_pump import FilePump
from overlaycast.agent.files.file_receiver import FileReceiver
from overlaycast.agent.files.file_source import FileSource
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.lookout import Lookout
from overlaycast.agent.options import TS_RECORD, JoinOptions, NodeOptions, SendOptions
from overlaycast.agent.parts import Delivery, Feed, Membership, Parts, Program
from overlaycast.agent.rates.failures import CALL, IN_VAIN, Failures
from overlaycast.agent.rates.stats import Reception
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunks import cut
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import SLAB_BYTES
from overlaycast.agent.standing import standing
from overlaycast.errors import ConfigError, LocalProtocolError
from overlaycast.journal import MemberJournal
from overlaycast.notify import Standing
from overlaycast.wire.frames import BACK, EDGE, OLDEST
from overlaycast.wire.grants import Identity
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Assigned, Entry
from overlaycast.wire.messages import (
    Accept,
    Assign,
    Begin,
    Contents,
    CoordinatorMessage,
    DistanceRequest,
    Ended,
    MemberMessage,
    NewSettings,
    Ping,
    Pong,
    Released,
    Resume,
    Revoke,
    Role,
    Untruth,
)
from overlaycast.wire.proof import proof

PROGRESS_S: Final = 1.0
SAMPLE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Setup:
    """What a member is started with: all of it checked and open."""

    options: NodeOptions
    role: Role
    journal: MemberJournal
    port: socket.socket
    output: Output | None = None
    source: Input | None = None


class Node:
    """The member.

    Raises:
        ConfigError: our input or output does not fit the group.
    """

    def __init__(
        self,
        setup: Setup,
        settings: GroupSettings,
        membership: Membership,
        program: Program,
        console: Console,
        rng: random.Random,
        permitted: Callable[[str], bool],
    ) -> None:
        self._setup = setup
        self._settings = settings
        self._membership = membership
        self._program = program
        self._rng = rng
        self._permitted = permitted
        self._retimed = asyncio.Event()
        self._reception = Reception(time.monotonic())
        self._failures = Failures()
        changed = asyncio.Event()
        ring = Ring(max(2, setup.options.ring_mb * (1 << 20) // SLAB_BYTES))
        downstream = self._downstream(ring, changed.set)
        downstream.door.prove = lambda challenge: proof(membership.secret, challenge)
        if setup.role == "source":
            feed, delivery = self._source(ring, downstream, changed)
        else:
            feed, delivery = self._receiver(ring, downstream)
        self._parts = parts = Parts(ring, downstream, feed, delivery, changed)
        self._figures = Figures(parts, membership, self._reception, self._failures, program, console)
        self._distances = Distances(program, permitted)
        self._lookout = Lookout(parts, self._figures, self._reception, program, settings.mode == "live")
        self.departure = Departure(parts, self._figures, self._lookout, program, self._output_place)
        program.spawn(self._beat())
        program.spawn(self._lookout.run())
        program.spawn(self._every(PROGRESS_S, feed.progress))
        program.spawn(self._every(SAMPLE_S, self._figures.sample))
        program.spawn(self._report())

    # --- parts -------------------------------------------------------------------------------------------------

    def _downstream(self, ring: Ring, changed: Callable[[], None]) -> Downstream:
        options, settings = self._setup.options, self._settings
        return Downstream(
            self._setup.port,
            ring,
            settings.heartbeat_ms / 1000,
            options.max_children,
            lambda: self._parts.feed.starved,
            changed,
            lambda child: self._failures.note(CALL, child),
            lambda said, nonces, sock: self._parts.feed.answer(said, nonces, sock),
            self._program.spawn,
            self._rng.random,
            self._permitted,
            # a file takes what the links give; a live stream leaves room for other traffic
            options.upload_mbit if settings.mode == "live" else None,
            self._identity,
        )

    def _receiver(self, ring: Ring, downstream: Downstream) -> tuple[Feed, Delivery]:
        settings, output = self._settings, self._setup.output
        rng, permitted = self._rng, self._permitted
        uplink = Uplink(ring, settings, self._start_mark(), self, self._program.spawn, rng, permitted, self._identity)
        if settings.mode == "file":
            kept = output or Spool()
            return uplink, FileReceiver(kept, ring, uplink, downstream, self._program, self._output_failed)
        if output is None:
            return uplink, Forwarded(self._reception)
        return uplink, Written(Sink(ring, output.open_live(), self._output_failed, lambda: None))

    def _identity(self) -> Identity:
        return Identity(self._setup.options.group, self._membership.member)

    def _start_mark(self) -> int:
        """Return where a live stream begins for us: our own wish, else the group's."""
        options, settings = self._setup.options, self._settings
        back_s = options.start_back if isinstance(options, JoinOptions) else None
        if back_s is None:
            if settings.start_from == "oldest":
                return OLDEST
            back_s = settings.start_back_s
        return BACK + round(back_s * 1000) if back_s else EDGE

    def _source(self, ring: Ring, downstream: Downstream, changed: asyncio.Event) -> tuple[Feed, Delivery]:
        options, source, mode = self._setup.options, self._setup.source, self._settings.mode
        if not isinstance(options, SendOptions) or source is None:
            raise LocalProtocolError("a source without an input")
        if options.mode not in (None, mode):
            raise ConfigError(f"mode: the group is {mode}, accepted: {mode} (got {options.mode})")
        schedule = schedule_for(mode, source, options.rate)
        if mode == "live":
            pump = StreamPump(ring, source, schedule, options.record_size or TS_RECORD, downstream.pump)
            return SourceFeed(pump, self._program, self._end_of_stream, options.standby), Sent(pump)
        if options.standby:
            raise ConfigError(f"standby: accepted in a live group, and {options.group} is a file group")
        if not isinstance(source, FileInput):
            raise ConfigError("file: accepted in a file group is a regular file, it may have to be read again")

        async def room() -> None:
            """The fastest child reads from the ring, not from the disk."""
            while downstream.least_lag() >= ring.capacity_bytes // 2:
                changed.clear()
                await changed.wait()

        file_pump = FilePump(ring, schedule, downstream.pump, room)
        lengths = cut(source.size, options.record_size)
        feed = FileSource(source, file_pump, *lengths, ring, downstream, self._program, self._end_of_stream)
        return feed, Sent(file_pump)

    # --- what the coordinator says -----------------------------------------------------------------------------

    def resume(self) -> Resume:
        """Return the place in the group that is ours, for another connection."""
        membership = self._membership
        return Resume(
            member=membership.member,
            secret=membership.secret,
            epoch=membership.epoch,
            rank=membership.rank,
            parent=self._parts.feed.settled_parent,
            next_seq=self._figures.next_seq,
        )

    def welcomed(self, anew: bool, settings: GroupSettings) -> None:
        """The coordinator has taken us in again; ``anew``: as a new member, whose orders count from the beginning."""
        self._configure(settings)
        if anew:
            self._membership.epoch = 0
            self._parts.downstream.new_identity()
        self._parts.feed.welcomed(anew)

    def heard(self, message: CoordinatorMessage) -> None:
        """The coordinator says this."""
        parts = self._parts
        match message:
            case Assign():
                if message.epoch >= self._membership.epoch:
                    parts.downstream.assign(message, self._obey)
            case Accept():
                parts.downstream.accept(message)
            case Revoke():
                parts.downstream.revoke(message)
            case Begin():
                parts.feed.begin(message)
            case Contents():
                parts.delivery.announced(message)
            case _:
                self._heard_news(message)

    def _heard_news(self, message: CoordinatorMessage) -> None:
        match message:
            case Ping():
                next_seq, parent = self._figures.next_seq, self._parts.feed.settled_parent
                self._program.tell(Pong(nonce=message.nonce, next_seq=next_seq, parent=parent))
                if message.extent is not None:
                    self._parts.feed.learned(message.extent)
            case DistanceRequest():
                self._distances.asked(message)
            case Released():
                self.departure.released.set()
            case NewSettings():
                self._configure(message.settings)
            case Ended():
                done = self._parts.ring.end is not None
                over = "told to end" if self._parts.feed.sends else "the group is over"
                self._program.finish(0 if done else 1, None if done else f"{over}: {message.reason}")

    def _configure(self, settings: GroupSettings) -> None:
        """From now on these settings count; what we began with, such as where the stream begins for us, stays."""
        if settings == self._settings:
            return
        self._settings = settings
        self._parts.downstream.retime(settings.heartbeat_ms / 1000)
        self._parts.feed.configured(settings)
        self._retimed.set()

    def _obey(self, order: Assign) -> None:
        self._membership.epoch, self._membership.rank = order.epoch, order.rank
        self._program.journal(
            Assigned(
                epoch=order.epoch,
                parent=order.parent.member if order.parent else None,
                rank=order.rank,
                depth=order.depth,
                primary=order.primary,
                standbys=tuple(peer.member for peer in order.standbys),
            )
        )
        self._figures.learn_names(order)
        self._parts.downstream.set_rank(order.rank)
        self._parts.feed.assign(order)

    # --- what the uplink hears ---------------------------------------------------------------------------------

    def received(self, arrival: Arrival) -> float | None:
        """A parent link was read: forward first, then everything else."""
        parts = self._parts
        parts.downstream.pump()
        gap_ms = self._figures.arrived(arrival)
        if arrival.records:
            parts.delivery.arrived()
        if parts.ring.end is not None and not self.departure.ending:
            self.departure.ending = True
            self._program.spawn(self.departure.end_of_stream())
        return gap_ms

    def journal(self, entry: Entry) -> None:
        """One line for machines."""
        self._program.journal(entry)

    def tell(self, message: MemberMessage) -> None:
        """A word to the coordinator."""
        self._program.tell(message)

    def starved_changed(self) -> None:
        """The children must know before they act."""
        self._parts.downstream.tell_state()

    def parent_changed(self) -> None:
        """The coordinator must know at once (Fig. 9B)."""
        asyncio.get_running_loop().call_soon(self._figures.report)

    def delivers(self, parent: int) -> None:
        """People are told of a parent when it has brought something."""
        self._figures.fed_by(parent)

    def link_failed(self, parent: int, reason: str) -> None:
        """Counted, and told now and then (``lookout``)."""
        self._failures.note(reason, parent)

    def asked_in_vain(self, parents: tuple[int, ...]) -> None:
        """The same."""
        for parent in parents:
            self._failures.note(IN_VAIN, parent)

    def fruitless(self, parents: tuple[int, ...]) -> None:
        """People can look at the way; we cannot."""
        self._figures.fruitless(parents)

    def untrue(self, parent: int, what: Untruth, why: str, pause_s: float) -> None:
        """The coordinator, and people, must know of a parent that says what cannot be."""
        self._figures.untrue(parent, what, why, pause_s)
        asyncio.get_running_loop().call_soon(self._figures.report)

    def ask_extent(self) -> None:
        """Ask the coordinator how far the stream is."""
        self._figures.report(asks=True)

    # --- life --------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Return where we stand, for the service manager."""
        figures, feeding = self._figures, self._parts.downstream.feeding
        options = self._setup.options
        standby = isinstance(options, SendOptions) and options.standby
        return standing(self._setup.role, figures.state, figures.feeder, feeding, self._program.connected, standby)

    def _output_place(self) -> str:
        return self._setup.output.place if self._setup.output else tempfile.gettempdir()

    def _output_failed(self, reason: str) -> None:
        self.departure.output_failed(reason)

    async def _end_of_stream(self) -> None:
        await self.departure.end_of_stream()

    async def _beat(self) -> None:
        while True:
            try:
                wait_s = self._parts.downstream.beat()
            except Exception as error:  # without heartbeats children leave, but what they get is theirs
                mishap(error)
                wait_s = SAMPLE_S
            await asyncio.sleep(min(wait_s, SAMPLE_S))  # not longer: the interval may have become a shorter one

    async def _report(self) -> None:
        """Report at the group's interval, and at once when it is another one."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.report_ms / 1000):
                    await self._retimed.wait()
            self._retimed.clear()
            try:
                self._figures.report()
            except Exception as error:
                mishap(error)

    @staticmethod
    async def _every(seconds: float, what: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                what()
            except Exception as error:  # figures and news: nothing that a stream could not do without
                mishap(error)

    def close(self) -> None:
        """Close every part, and write the summary."""
        self._parts.feed.close()
        self._parts.downstream.close()
        self._lookout.tell_all()
        self._figures.summary()
        self._parts.delivery.close()
