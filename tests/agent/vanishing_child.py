"""Run inside a network namespace of its own: a fed child whose packets are dropped from one moment on, without a word.

Prints why the parent closed the link, or fails after a bounded time.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess

from overlaycast.agent.hops.child_link import ChildLink
from overlaycast.agent.hops.downstream import Downstream
from overlaycast.agent.hops.sockets import open_data_port, tune
from overlaycast.agent.records.ring import Ring
from overlaycast.failover.admission import Admission
from overlaycast.wire.frames import EDGE, Decoder, Start

CUT = """
table inet cut {
    chain in { type filter hook input priority 0; tcp sport %(port)d drop; tcp dport %(port)d drop; }
}
"""


def cut(port: int) -> None:
    """From now on nothing of this connection arrives."""
    subprocess.run(["nft", "-f", "-"], input=CUT % {"port": port}, text=True, check=True)


async def main() -> None:
    ring = Ring(4)
    ring.anchor(0)
    port = open_data_port("127.0.0.1:0")
    spawn = asyncio.get_running_loop().create_task
    down = Downstream(
        port,
        ring,
        0.025,
        4,
        lambda: False,
        lambda: None,
        lambda _: None,
        lambda _said, _nonces, sock: sock.close(),
        spawn,
        lambda: 0.0,
        lambda _: True,
    )
    down.admissions.rank = 1
    with open_data_port("127.0.0.1:0") as other:
        other.setblocking(True)
        with socket.create_connection(other.getsockname()) as child:
            here, _ = other.accept()
            tune(here)
            down.admitted(here, Decoder(), Admission(7, "k", 1, standby=False), 1, Start(EDGE))
            link = down.children[7]
            await asyncio.to_thread(cut, child.getsockname()[1])
            print(await closed(down, link, ring))
    down.close()


async def closed(down: Downstream, link: ChildLink, ring: Ring) -> str:
    """Send records until the link is given up; return why."""
    said: list[str] = []
    tell = link._on_closed

    def heard(link: ChildLink, why: str) -> None:
        said.append(why)
        tell(link, why)

    link._on_closed = heard
    async with asyncio.timeout(90):
        while not said:
            ring.append(bytes(1000), 0)
            down.pump()
            await asyncio.sleep(0.1)
    assert not down.children
    return said[0]


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    asyncio.run(main())
