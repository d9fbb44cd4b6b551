"""The program that a source, a peer or a relay runs: its tasks, the control link, and when it ends.

Owns: the tasks, and the member (``node``) from the welcome on. Returns the exit code; once the member is admitted,
``departure`` decides it. Refuses: to know what the member does.

A defect in a callback or in what is done again and again is told, and the program goes on (``defects``). A task that
fails is one that it cannot do without: it ends, and says why.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

from overlaycast.agent.console import Console
from overlaycast.agent.control import ControlLink
from overlaycast.agent.defects import Defects
from overlaycast.agent.departure import within
from overlaycast.agent.hops.mishap import mishap
from overlaycast.agent.hops.permission import Permission
from overlaycast.agent.node import Node, Setup
from overlaycast.agent.parts import Membership
from overlaycast.agent.standing import NOT_ADMITTED
from overlaycast.agent.subscription import subscription
from overlaycast.discovery.first_hops import first_hops
from overlaycast.errors import LocalProtocolError, OverlaycastError, in_one_line
from overlaycast.notify import Service, Standing
from overlaycast.wire.journal import Entry, Failure, Started, Welcomed
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage, Subscribe, Welcome

FLUSH_S: Final = 1.0


def _expected(error: BaseException) -> bool:
    """Is it what the world did, or the user, which has words of its own? Else it is a defect."""
    return isinstance(error, OverlaycastError) and not isinstance(error, LocalProtocolError)


class Agent:
    """The program. ``run`` returns the exit code."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._options = setup.options
        self._membership: Membership | None = None
        self._node: Node | None = None
        self._looking = False
        self._rng = random.Random()
        self._defects = Defects()
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[int] = self._loop.create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._console = Console(setup.options.name)
        self._service = Service()
        self._permission = Permission(setup.options.allow_local, self.say)
        self._control = ControlLink(setup.options.coordinator, self._subscription, self._heard, self.say, self._rng)

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Join, and stay until the stream has ended, we are told to go, or we cannot go on."""
        self._loop.set_exception_handler(self._defect)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has set it
                self._loop.add_signal_handler(number, self._asked, number)
        options = self._options
        self.journal(Started(pid=os.getpid(), role=self._setup.role, name=options.name, group=options.group))
        self.spawn(self._control.run())
        self.spawn(self._service.follow(self._standing))
        try:
            return await self._outcome
        except OverlaycastError as error:
            self.journal(Failure(reason=str(error)))
            raise
        finally:
            await self._close()

    def _asked(self, number: int) -> None:
        """A signal: before the welcome there is nothing to leave."""
        self._service.stopping(f"told to go ({signal.Signals(number).name}), leaves")
        if self._node is None:
            self.finish(128 + number)  # as a shell says that a signal ended it
        else:
            self._node.departure.asked(number)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a task that the program cannot do without: if it fails, the program ends, and says why."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, Exception) or _expected(error):
            if not self._outcome.done():
                self._outcome.set_exception(error)
        else:
            self.finish(1, f"cannot go on: {in_one_line(error)}")

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something has gone wrong that need not end us: tell it, and go on unless there is no end of it."""
        error = context.get("exception") or RuntimeError(str(context.get("message")))
        if not isinstance(error, Exception) or _expected(error):
            self._fail(error)
            return
        line = in_one_line(error)
        if self._defects.told(line, self._loop.time()):
            self.say(f"something went wrong, going on: {line}")
        if self._defects.too_many:
            self.finish(1, f"cannot go on, too much goes wrong: {line}")

    def finish(self, code: int, line: str | None = None) -> None:
        """End with this exit code, and one line for people."""
        if self._outcome.done():
            return
        if line:
            self.journal(Failure(reason=line))
            print(f"overlaycast: {line}", file=sys.stderr)
        self._outcome.set_result(code)

    def _standing(self) -> Standing:
        return NOT_ADMITTED if self._node is None else self._node.standing()

    async def _close(self) -> None:
        self._service.stopping("ends")
        await within(FLUSH_S, self._control.flushed())
        if self._node:
            self._node.close()
        self._console.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._reap)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- speaking ----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Is the coordinator reached?"""
        return self._control.connected

    def say(self, line: str) -> None:
        """One line for people."""
        self._console.line(line)

    def journal(self, entry: Entry) -> None:
        """One line for machines."""
        self._setup.journal.write(entry)

    def tell(self, message: MemberMessage) -> None:
        """A word to the coordinator."""
        self._control.send(message)

    def _subscription(self, local: str) -> Subscribe:
        self._permission.coordinator_at(local)
        bound_to = self._setup.port.getsockname()[:2]
        resume = self._node.resume() if self._node else None
        return subscription(self._options, self._setup.role, bound_to, local, resume)

    # --- what the coordinator says -----------------------------------------------------------------------------

    def _heard(self, message: CoordinatorMessage) -> None:
        if isinstance(message, Welcome):
            self._welcome(message)
        elif self._node is None:
            raise LocalProtocolError("an order before the welcome")
        else:
            self._node.heard(message)

    async def _look_around(self, towards: str) -> None:
        """Tell the coordinator of our first hops, once for each connection; without that it knows less."""
        try:
            found = await first_hops(*filter(None, (towards, self._control.reached_at)))
        except Exception as error:
            mishap(error)
            return
        finally:
            self._looking = False
        if found is not None:
            self.tell(found)

    def _welcome(self, message: Welcome) -> None:
        membership, node = self._membership, self._node
        if message.towards is not None and not self._looking:
            self._looking = True
            self.spawn(self._look_around(message.towards))
        if membership is None or node is None:
            self.journal(Welcomed(member=message.member))
            self._membership = membership = Membership(message.member, message.secret)
            # where our input or output does not fit the group, the error is all we say
            self._node = Node(
                self._setup, message.settings, membership, self, self._console, self._rng, self._permission
            )
        else:
            anew = membership.member != message.member
            membership.member, membership.secret = message.member, message.secret
            node.welcomed(anew, message.settings)
            if not anew:
                return
            self.journal(Welcomed(member=message.member))
        self.say(f"member {message.member} of {self._options.group}")
        if message.namesakes:
            who, they = ("member", "has") if len(message.namesakes) == 1 else ("members", "have")
            others = f"{who} {', '.join(map(str, message.namesakes))} {they}"
            self.say(f"{others} the name {self._options.name} too, so logs do not tell you apart (--name)")
