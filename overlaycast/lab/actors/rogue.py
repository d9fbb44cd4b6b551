"""A rogue member: an honest one, with a proxy on each of its links that changes what passes.

``python -m overlaycast.lab.actors.rogue KIND COUNT-FILE -- COMMAND…`` starts the command of an honest member, which
then knows the coordinator and its children only through us. SIGUSR1 begins the misdeeds, SIGUSR2 ends them; the count
goes into the file. It uses ``wire`` and nothing else of overlaycast, as any stranger could.

Owns: the two proxies and the process between them. Refuses: to decide what is done; ``misdeeds`` does. Invariant: the
honest member dies with us, and we end as it does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from overlaycast.errors import RemoteProtocolError
from overlaycast.lab.actors.misdeeds import KINDS, Misdeeds
from overlaycast.wire.frames import Decoder, encode
from overlaycast.wire.messages import Address, Subscribe
from overlaycast.wire.text import MAX_MESSAGE, decode_from_member
from overlaycast.wire.text import encode as encode_message

CONTROL: Final = 8470
"""Where the honest member finds its coordinator; on loopback."""
INNER: Final = 8471
"""Its data port; on loopback."""
OUTER: Final = 8571
"""Our own data port, the one that others are given."""
PORTION: Final = 1 << 16


class Rogue:
    """The proxies on both links of an honest member."""

    def __init__(self, misdeeds: Misdeeds, report: Path, coordinator: str) -> None:
        """Take what to do, where to count it, and the coordinator's address as ``http://HOST:PORT``."""
        self._misdeeds = misdeeds
        self._report = report
        self._url = "ws" + coordinator.removeprefix("http") + "/v1/member"
        self._links: set[asyncio.StreamWriter] = set()

    def begin(self) -> None:
        """Misbehave from now on."""
        self._misdeeds.active = True

    def behave(self) -> None:
        """Be honest again. Links on which data was withheld are closed, so that children dial again."""
        self._misdeeds.active = False
        for writer in self._links if self._misdeeds.kind == "mute" else ():
            writer.close()

    def _count(self) -> None:
        unfinished = self._report.with_suffix(".new")
        unfinished.write_text(f"{self._misdeeds.count}\n")
        unfinished.replace(self._report)

    # -- children ------------------------------------------------------------------------------------------------

    async def child(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stand between a child and the honest member."""
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", INNER)
        except OSError:
            writer.close()
            return
        self._links.add(writer)
        tasks = [asyncio.create_task(_copy(reader, outer)), asyncio.create_task(self._forward(inner, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(writer)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            outer.close()

    async def _forward(self, inner: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        with suppress(OSError, RemoteProtocolError):
            while data := await inner.read(PORTION):
                before = self._misdeeds.count
                frames = (self._misdeeds.forwarded(frame) for frame in decoder.feed(data))
                writer.write(b"".join(encode(frame) for frame in frames if frame is not None))
                if self._misdeeds.count != before:
                    self._count()
                await writer.drain()

    # -- coordinator ---------------------------------------------------------------------------------------------

    async def member(self, link: ServerConnection) -> None:
        """Stand between the honest member and the coordinator."""
        options = {"compression": None, "proxy": None, "max_size": MAX_MESSAGE}
        with suppress(ConnectionClosed, OSError):
            async with connect(self._url, **options) as above:  # type: ignore[arg-type]
                tasks = [asyncio.create_task(self._upwards(link, above)), asyncio.create_task(_downwards(above, link))]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _upwards(self, link: ServerConnection, above: ClientConnection) -> None:
        async for text in link:
            message = decode_from_member(text)
            if isinstance(message, Subscribe):
                message = message.model_copy(update={"addresses": (Address(host="", port=OUTER),)})
            before = self._misdeeds.count
            for said in self._misdeeds.said(message):
                await above.send(encode_message(said))
            if self._misdeeds.count != before:
                self._count()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PORTION):
            writer.write(data)
            await writer.drain()


async def _downwards(above: ClientConnection, link: ServerConnection) -> None:
    async for text in above:
        await link.send(text)


async def run(kind: str, report: Path, words: list[str]) -> int:
    """Run a rogue until its honest half ends; return that one's exit code."""
    index = words.index("--coordinator") + 1
    rogue = Rogue(Misdeeds(kind), report, words[index])
    honest = [*words[:index], f"http://127.0.0.1:{CONTROL}", *words[index + 1 :], "--listen", f"127.0.0.1:{INNER}"]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, rogue.begin)
    loop.add_signal_handler(signal.SIGUSR2, rogue.behave)
    async with (
        serve(rogue.member, "127.0.0.1", CONTROL, compression=None, max_size=MAX_MESSAGE),
        await asyncio.start_server(rogue.child, None, OUTER),
    ):
        process = await asyncio.create_subprocess_exec("setpriv", "--pdeathsig", "KILL", "--", *honest)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.send_signal, number)
        code = await process.wait()
    return code


def main(argv: list[str]) -> int:
    """Read the command line: ``KIND COUNT-FILE -- COMMAND…``."""
    if len(argv) < 4 or argv[0] not in KINDS or argv[2] != "--":
        print(
            f"usage: python -m overlaycast.lab.actors.rogue {'|'.join(KINDS)} COUNT-FILE -- COMMAND…", file=sys.stderr
        )
        return 2
    code = asyncio.run(run(argv[0], Path(argv[1]), argv[3:]))
    if code < 0:  # end as the honest half ended
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
