"""Faults of the network: carriers, loss, delay, rate, whole routers, and partitions.

Every change is read back; delay, loss and partition are measured with real datagrams as well. A rate is read back only:
to measure it would fill a link that carries the stream, which would be a fault of its own.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from overlaycast.errors import LabError
from overlaycast.lab.faults.aim import Hit
from overlaycast.lab.faults.faults import Fault, LinkDelay, LinkFlap, LinkLoss, LinkRate
from overlaycast.lab.injection.stage import Injected, Stage

CLEAR: Final = 0.02
"""A few hundred probes cannot distinguish a loss below this from none; it is read back only."""


async def cut(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Take the carrier from links at both ends."""
    for a, b in hit.links:
        if not stage.cables.link_is_up(a, b):
            raise LabError(f"fault {fault.action}: {a}-{b} was down before")
    at = time.time()
    for a, b in hit.links:
        stage.cables.link_down(a, b)
    for a, b in hit.links:
        if stage.cables.link_is_up(a, b):
            raise LabError(f"fault {fault.action}: {a}-{b} is still up")
    verb = "has" if len(hit.links) == 1 else "have"
    return Injected(at, f"{_named(hit)} {verb} no carrier")


def _named(hit: Hit) -> str:
    return ", ".join(f"{a}-{b}" for a, b in hit.links)


async def mend(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Give links their carrier back."""
    for a, b in hit.links:
        stage.cables.link_up(a, b)
    for a, b in hit.links:
        if not stage.cables.link_is_up(a, b):
            raise LabError(f"fault {fault.action}: {a}-{b} did not come up again")


async def flap_on(stage: Stage, fault: LinkFlap, hit: Hit) -> None:
    """End the first outage and go through the others."""
    await mend(stage, fault, hit)
    for _ in range(fault.times - 1):
        await asyncio.sleep(fault.up_s)
        await cut(stage, fault, hit)
        await asyncio.sleep(fault.down_s)
        await mend(stage, fault, hit)


async def lose(stage: Stage, fault: LinkLoss, hit: Hit) -> Injected:
    """Lose frames at random, both ways."""
    at = time.time()
    for a, b in hit.links:
        stage.cables.reshape(a, b, loss=fault.loss)
    evidence = f"{_named(hit)} is read back to lose {fault.loss:.1%}"
    if fault.loss >= CLEAR:
        measured = [await stage.cables.lost_share(a, b) for a, b in hit.links]
        if not all(measured):
            raise LabError(f"fault link-loss: {_named(hit)} lost none of the probes; asked {fault.loss:g}")
        evidence += f", and lost {max(measured):.1%} of the probes"
    return Injected(at, evidence)


async def delay(stage: Stage, fault: LinkDelay, hit: Hit) -> Injected:
    """Take longer, both ways."""
    at = time.time()
    for a, b in hit.links:
        stage.cables.reshape(a, b, delay_ms=fault.delay_ms, jitter_ms=fault.jitter_ms)
    measured = [await stage.cables.one_way_ms(a, b) for a, b in hit.links]
    least = fault.delay_ms - fault.jitter_ms
    if min(measured) < least - 1:
        raise LabError(f"fault link-delay: {_named(hit)} takes {min(measured):.1f} ms; asked {fault.delay_ms:g} ms")
    return Injected(at, f"{_named(hit)} takes {max(measured):.1f} ms one way")


async def narrow(stage: Stage, fault: LinkRate, hit: Hit) -> Injected:
    """Make links thin, both ways."""
    at = time.time()
    for a, b in hit.links:
        stage.cables.reshape(a, b, rate_mbit=fault.rate_mbit)
    return Injected(at, f"{_named(hit)} is read back to carry {fault.rate_mbit:g} Mbit/s")


async def restore(stage: Stage, fault: LinkLoss | LinkDelay | LinkRate, hit: Hit) -> None:
    """Give links the shape that the topology asks for."""
    for a, b in hit.links:
        stage.cables.restore(a, b)


async def part(stage: Stage, fault: Fault, hit: Hit) -> Injected:
    """Cut sites from all others."""
    cables, host = stage.cables, hit.inside[0]
    if not await cables.passes(stage.source, host):
        raise LabError(f"fault partition: {stage.source} did not reach {host} before")
    at = time.time()
    await cables.part(hit.borders, hit.inside)
    if await cables.passes(stage.source, host) or await cables.passes(host, stage.source):
        raise LabError(f"fault partition: datagrams still pass between {stage.source} and {host}")
    if not await cables.passes(hit.inside[-1], host):
        raise LabError(f"fault partition: {hit.inside[-1]} and {host} are on one side, yet cannot reach each other")
    return Injected(at, f"no datagram passes between {stage.source} and {host}, either way; within {hit.label} they do")


async def join(stage: Stage, fault: Fault, hit: Hit) -> None:
    """Let everything pass again."""
    await stage.cables.join(hit.borders)
    if not await stage.cables.passes(stage.source, hit.inside[0]):
        raise LabError(f"fault partition: {stage.source} still does not reach {hit.inside[0]}")
