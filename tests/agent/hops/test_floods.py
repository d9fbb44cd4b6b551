"""A child that says far more than a child has to say is closed, and costs little."""

from __future__ import annotations

import asyncio
import socket

from overlaycast.agent.hops.child_link import MOST_WORDS, ChildLink
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import Admission
from overlaycast.wire.frames import Decoder, Heartbeat, encode


async def flood(words: int) -> list[str]:
    """Let a child say so many heartbeats at once; return why its link was closed, if it was."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    closed: list[str] = []
    progress: list[int] = []
    link = ChildLink(
        ours,
        Decoder(),
        Admission(child=2, name="c", epoch=1, standby=False),
        9,
        Ring(2),
        None,
        lambda: False,
        lambda: False,
        lambda _, why: closed.append(why),
        lambda child: progress.append(child.next_seq),
    )
    theirs.sendall(b"".join(encode(Heartbeat(number)) for number in range(words)))
    async with asyncio.timeout(60):
        while not closed and len(progress) < words:  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.001)
    link.close("the test is over")
    theirs.close()
    assert len(progress) <= MOST_WORDS
    return closed[:1]


async def test_a_flood_of_heartbeats_closes_the_link() -> None:
    assert await flood(1000) == ["the child sends too many heartbeats"]


async def test_what_a_child_usually_says_does_not() -> None:
    assert await flood(20) == ["the test is over"]
