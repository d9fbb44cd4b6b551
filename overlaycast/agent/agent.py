"""One node: source, peer and relay are the same; they differ in what feeds it and where its data goes.

Owns: the wiring of control link, uplink, downstream, input, sink and figures, and when the node ends. Refuses: to
decide about parents (``upstream``) or to look into records. Every task lives in one group; a defect in a callback
ends the node, it is not logged and forgotten.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.agent.control import ControlLink
from overlaycast.agent.departure import Departure, within
from overlaycast.agent.ends.media import FileInput, Input
from overlaycast.agent.ends.output import Output, Spool
from overlaycast.agent.ends.sink import Sink
from overlaycast.agent.ends.source import SourcePump, StreamPump, schedule_for
from overlaycast.agent.figures import Figures
from overlaycast.agent.files.file_group import FileGroup
from overlaycast.agent.files.file_pump import FilePump
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.hops.uplink import Uplink
from overlaycast.agent.options import TS_RECORD, JoinOptions, NodeOptions, SendOptions
from overlaycast.agent.records.arrival import Arrival
from overlaycast.agent.records.chunks import cut
from overlaycast.agent.records.ring import Ring
from overlaycast.agent.records.slab import SLAB_BYTES
from overlaycast.agent.subscription import subscription
from overlaycast.errors import ConfigError, LocalProtocolError, OverlaycastError
from overlaycast.journal import MemberJournal
from overlaycast.wire.frames import BACK, EDGE, OLDEST
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.journal import Assigned, Begun, Entry, Failure, Started, Welcomed
from overlaycast.wire.messages import (
    Accept,
    Assign,
    Begin,
    Contents,
    CoordinatorMessage,
    Ended,
    MemberMessage,
    Ping,
    Pong,
    Released,
    Resume,
    Revoke,
    Role,
    Subscribe,
    Welcome,
)

PROGRESS_S: Final = 1.0
SAMPLE_S: Final = 0.2
FLUSH_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What a node is started with: all of it checked and open."""

    options: NodeOptions
    role: Role
    journal: MemberJournal
    port: socket.socket
    output: Output | None = None
    source: Input | None = None


class Agent:
    """The node. ``run`` returns the exit code."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.options = setup.options
        self.member: int | None = None
        self.settings = GroupSettings()
        self.ring = Ring(max(2, setup.options.ring_mb * (1 << 20) // SLAB_BYTES))
        self.uplink: Uplink | None = None
        self.downstream: Downstream | None = None
        self.sink: Sink | None = None
        self.pump: SourcePump | None = None
        self.file: FileGroup | None = None
        self._secret = ""
        self.epoch = 0
        self._rank = 0
        self._rng = random.Random()
        self.loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[int] = self.loop.create_future()
        self.children_changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.control = ControlLink(setup.options.coordinator, self._subscription, self._heard, self.say, self._rng)
        self.figures = Figures(self)
        self.departure = Departure(self)

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Join, and stay until the stream has ended, we are told to go, or we cannot go on."""
        self.loop.set_exception_handler(self._defect)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.departure.asked, number)
        pid, options = os.getpid(), self.options
        self.journal(Started(pid=pid, role=self.setup.role, name=options.name, group=options.group))
        self.spawn(self.control.run())
        try:
            return await self._outcome
        except OverlaycastError as error:
            self.journal(Failure(reason=str(error)))
            raise
        finally:
            await self._close()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task for as long as the node lives; its failure ends the node."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._fail(error if isinstance(error, Exception) else RuntimeError(str(context.get("message"))))

    def finish(self, code: int, line: str | None = None) -> None:
        """End with this exit code, and one line for people."""
        if self._outcome.done():
            return
        if line:
            self.journal(Failure(reason=line))
            print(f"overlaycast: {line}", file=sys.stderr)
        self._outcome.set_result(code)

    async def _close(self) -> None:
        await within(FLUSH_S, self.control.flushed())
        if self.uplink:
            self.uplink.close()
        if self.downstream:
            self.downstream.close()
        if self.file:
            self.file.close()
        self.figures.summary()
        if self.sink:
            self.sink.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._reap)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- speaking ----------------------------------------------------------------------------------------------

    def say(self, line: str) -> None:
        """One line for people."""
        self.figures.line(line)

    def journal(self, entry: Entry) -> None:
        """One line for machines."""
        self.setup.journal.write(entry)

    def tell(self, message: MemberMessage) -> None:
        """Something for the coordinator."""
        self.control.send(message)

    def _subscription(self, local: str) -> Subscribe:
        resume = None
        if self.member is not None:
            parent = self.uplink.machine.settled_parent if self.uplink else None
            resume = Resume(
                member=self.member,
                secret=self._secret,
                epoch=self.epoch,
                rank=self._rank,
                parent=parent,
                next_seq=self.figures.next_seq,
            )
        port = self.setup.port.getsockname()[1]
        return subscription(self.options, self.setup.role, port, local, resume)

    # --- what the coordinator says -----------------------------------------------------------------------------

    def _heard(self, message: CoordinatorMessage) -> None:
        match message:
            case Welcome():
                self._welcome(message)
            case Assign():
                self._assign(message)
            case Accept():
                self._down().accept(message)
            case Revoke():
                self._down().revoke(message)
            case Begin():
                self._begin(message)
            case _:
                self._heard_news(message)

    def _heard_news(self, message: CoordinatorMessage) -> None:
        match message:
            case Ping():
                parent = self.uplink.machine.settled_parent if self.uplink else None
                self.tell(Pong(nonce=message.nonce, next_seq=self.figures.next_seq, parent=parent))
            case Contents():
                if self.file:
                    self.file.heard(message)
            case Released():
                self.departure.released.set()
            case Ended():
                done = self.ring.end is not None
                self.finish(0 if done else 1, None if done else f"the group is over: {message.reason}")

    def _answer(self, grant: bytes, sock: socket.socket) -> None:
        """A parent calls; a source has none."""
        if self.uplink and not self.departure.ending:
            self.uplink.answer(grant, sock)
        else:
            sock.close()

    def _down(self) -> Downstream:
        if self.downstream is None:
            raise LocalProtocolError("an order before the welcome")
        return self.downstream

    def _welcome(self, message: Welcome) -> None:
        known = self.member
        self.member, self._secret = message.member, message.secret
        if self.file:
            self.file.announce()
        if known == message.member:
            return
        self.journal(Welcomed(member=message.member))
        if known is None:
            self._build(message.settings)  # where our input or output does not fit the group, that is all we say
        elif self.uplink:
            self.uplink.machine.new_identity()
            self._down().new_identity()
            self.epoch = 0
        self.say(f"member {message.member} of {self.options.group}")

    def _build(self, settings: GroupSettings) -> None:
        """The group's settings are known: put the parts together."""
        self.settings = settings
        heartbeat_s = settings.heartbeat_ms / 1000
        self.downstream = Downstream(
            self.setup.port,
            self.ring,
            heartbeat_s,
            self.options.max_children,
            self._starved,
            self.children_changed.set,
            self._answer,
            self.spawn,
            self._rng.random,
            # a file takes what the links give; a live stream leaves the others theirs
            self.options.upload_mbit if settings.mode == "live" else None,
        )
        if self.setup.role == "source":
            self._prepare_source(settings)
        else:
            self.uplink = Uplink(self.ring, settings, self._start_mark(settings), self, self.spawn, self._rng)
            self._prepare_sink(settings)
        self.spawn(self._beat(self.downstream))
        self.spawn(self._every(PROGRESS_S, self._tell_progress))
        self.spawn(self._every(SAMPLE_S, self.figures.sample))
        self.spawn(self._every(settings.report_ms / 1000, self.figures.report))

    def _start_mark(self, settings: GroupSettings) -> int:
        """Where a live stream begins for us: our own wish, else the group's."""
        back_s = self.options.start_back if isinstance(self.options, JoinOptions) else None
        if back_s is None:
            if settings.start_from == "oldest":
                return OLDEST
            back_s = settings.start_back_s
        return BACK + round(back_s * 1000) if back_s else EDGE

    def _prepare_sink(self, settings: GroupSettings) -> None:
        """Where data goes; in a file group this has to wait for what the source announces."""
        if settings.mode == "file":
            self.file = FileGroup(self, self.setup.output or Spool())
        elif self.setup.output is not None:
            self.sink = Sink(self.ring, self.setup.output.open_live(), self.departure.sink_failed, lambda: None)

    def _prepare_source(self, settings: GroupSettings) -> None:
        options, source = self.options, self.setup.source
        if not isinstance(options, SendOptions) or source is None:
            raise LocalProtocolError("a source without an input")
        if options.mode not in (None, settings.mode):
            raise ConfigError(f"mode: the group is {settings.mode}, accepted: {settings.mode} (got {options.mode})")
        schedule = schedule_for(settings.mode, source, options.rate)
        if settings.mode == "live":
            self.pump = StreamPump(self.ring, source, schedule, options.record_size or TS_RECORD, self._pushed)
            return
        if not isinstance(source, FileInput):
            raise ConfigError("file: accepted in a file group is a regular file, it may have to be read again")
        self.file = FileGroup(self, None)
        self.pump = pump = FilePump(self.ring, schedule, self._pushed, self._room)
        self.spawn(self.file.describe(source, pump, *cut(source.size, options.record_size)))

    # --- orders ------------------------------------------------------------------------------------------------

    def _assign(self, order: Assign) -> None:
        if order.epoch >= self.epoch:
            self._down().assign(order, self._obey)

    def _obey(self, order: Assign) -> None:
        self.epoch, self._rank = order.epoch, order.rank
        self.journal(
            Assigned(
                epoch=order.epoch,
                parent=order.parent.member if order.parent else None,
                rank=order.rank,
                depth=order.depth,
                primary=order.primary,
                standbys=tuple(peer.member for peer in order.standbys),
            )
        )
        self.figures.learn_names(order)
        self._down().set_rank(order.rank)
        if self.file and self.file.holds_back(order):
            return
        if self.uplink and not self.departure.ending:
            self.uplink.assign(order)

    def _begin(self, order: Begin) -> None:
        if self.pump is None or self.figures.begun:
            return
        self.figures.begun = True
        self.journal(Begun(next_seq=order.next_seq, incarnation=order.incarnation))
        self.say(f"sending from record {order.next_seq}")
        self.spawn(self._send(self.pump, order))

    async def _send(self, pump: SourcePump, order: Begin) -> None:
        if self.file is not None:
            await self.file.may_begin(order)
        await pump.run(order.incarnation, order.next_seq)
        await self.departure.end_of_stream()

    # --- data --------------------------------------------------------------------------------------------------

    def received(self, arrival: Arrival) -> float | None:
        """A parent link was read: forward first, then everything else."""
        if self.downstream:
            self.downstream.pump()
        gap_ms = self.figures.arrived(arrival)
        if self.sink and arrival.records:
            self.sink.wake()
            if self.file:
                self.file.received()
        if self.ring.end is not None and not self.departure.ending:
            self.departure.ending = True
            self.spawn(self.departure.end_of_stream())
        return gap_ms

    def _pushed(self) -> None:
        if self.downstream:
            self.downstream.pump()

    async def _room(self) -> None:
        """File mode: the fastest child reads from the ring, not from the disk."""
        while self.downstream and self.downstream.least_lag() >= self.ring.capacity_bytes // 2:
            self.children_changed.clear()
            await self.children_changed.wait()

    def _starved(self) -> bool:
        return self.uplink.machine.starved if self.uplink else False

    def starved_changed(self) -> None:
        """The children must know before they act."""
        if self.downstream:
            self.downstream.tell_state()

    def parent_changed(self) -> None:
        """The coordinator must know at once (Fig. 9B)."""
        self.figures.parent_changed()
        self.loop.call_soon(self.figures.report)

    @staticmethod
    async def _beat(downstream: Downstream) -> None:
        while True:
            wait_s = downstream.beat()
            await asyncio.sleep(wait_s)

    def _tell_progress(self) -> None:
        if self.uplink:
            self.uplink.progress()

    @staticmethod
    async def _every(seconds: float, what: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            what()
