"""The commands ``send``, ``join`` and ``relay``: options in, exit code out.

Owns: what is checked before anything connects (the input, the output, the data port), and the event loop. Refuses:
everything else; the agent does it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import closing
from typing import Final, TypeVar

import uvloop

from overlaycast.agent.agent import Agent
from overlaycast.agent.control import websocket_url
from overlaycast.agent.ends.media import Input, SyntheticInput, open_input
from overlaycast.agent.ends.output import Output
from overlaycast.agent.ends.source import schedule_for
from overlaycast.agent.hops.sockets import open_data_port, set_congestion
from overlaycast.agent.node import Setup
from overlaycast.agent.options import TS_RECORD, JoinOptions, NodeOptions, RelayOptions, SendOptions
from overlaycast.descriptors import HOW, most_descriptors
from overlaycast.errors import ConfigError
from overlaycast.journal import MemberJournal
from overlaycast.settings import load
from overlaycast.streams import patient_stderr
from overlaycast.tokens import shown
from overlaycast.wire.messages import Role

SWITCH_INTERVAL_S: Final = 0.0005
"""The sink's thread gives the interpreter back so soon when the data path wants it (Python's default is ten times)."""

OWN_DESCRIPTORS: Final = 32
"""What a member needs besides its children: the loop, the control link, parents, standbys and the output."""
FEWEST_CHILDREN: Final = 8

_O = TypeVar("_O", bound=NodeOptions)


def send(argv: list[str]) -> int:
    """Run a source."""
    options = _within_limit(load(SendOptions, argv, "overlaycast send"))
    return _run(options, "source", source=_open_source(options))


def join(argv: list[str]) -> int:
    """Run a peer."""
    options = _within_limit(load(JoinOptions, argv, "overlaycast join"))
    output = Output(options.output, overwrite=options.overwrite, segment=options.segment)
    return _run(options, "peer", output=output)


def relay(argv: list[str]) -> int:
    """Run a planted server."""
    options = _within_limit(load(RelayOptions, argv, "overlaycast relay"))
    return _run(options, "backup" if options.backup else "relay")


def _within_limit(options: _O) -> _O:
    """Return the options, with no more children than there are descriptors for."""
    limit = most_descriptors(OWN_DESCRIPTORS + 2 * FEWEST_CHILDREN, "a member")
    children = (limit - OWN_DESCRIPTORS) // 2  # as many connections again may still have to show their grant
    if options.max_children <= children:
        return options
    line = f"at most {children} connections from children: the limit of open files is {limit}; {HOW}"
    print(f"overlaycast {options.name}: {line}", file=sys.stderr)
    return options.model_copy(update={"max_children": children})


def _open_source(options: SendOptions) -> Input:
    if options.synthetic is None:
        source = open_input(options.file, options.record_size or TS_RECORD)
        if options.standby and not source.live:
            raise ConfigError(f"{shown(options.file)}: is a file; accepted with --standby: a pipe, a FIFO or a device")
        if options.mode is not None:
            schedule_for(options.mode, source, options.rate)  # told now, if it cannot be: else the group's mode decides
        return source
    if options.standby:
        raise ConfigError("synthetic: not accepted with --standby, which takes a pipe, a FIFO or a device")
    if options.rate is None:
        raise ConfigError("rate: required with --synthetic, as in --rate 8M")
    return SyntheticInput(int(options.synthetic * options.rate * 125_000))


def _run(options: NodeOptions, role: Role, output: Output | None = None, source: Input | None = None) -> int:
    websocket_url(options.coordinator)
    with closing(MemberJournal(options.journal)) as journal, open_data_port(options.listen) as port:
        if options.congestion:
            set_congestion(port, options.congestion)
        setup = Setup(options, role, journal, port, output, source)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.freeze()  # what is imported stays for good: a full collection over it would be a gap of its own
        with patient_stderr(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_main(setup))


async def _main(setup: Setup) -> int:
    return await Agent(setup).run()
