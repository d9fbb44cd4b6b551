"""The members' door: one WebSocket from its first message to its end.

Owns: the order of things on one link: subscribe, be let in or refused, talk, be gone. Refuses: what is said (the
driver and the overlay), and which subscribers are let in (``groups``).

Invariants: whichever of reading and writing ends first ends the other; a member that was let in is always reported as
gone, once; before and after that a link counts as a stranger's (``connections``).
"""

from __future__ import annotations

import asyncio
import logging

from starlette.websockets import WebSocket, WebSocketDisconnect

from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.groups.groups import GroupFailedError, Groups
from overlaycast.coordinator.members.link import COME_AGAIN, MemberLink, refusal
from overlaycast.coordinator.state.store import StateError
from overlaycast.coordinator.web.connections import SCOPE_KEY, Connection
from overlaycast.errors import RefusedError, RemoteProtocolError
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT

log = logging.getLogger(__name__)


class Door:
    """Lets members in."""

    def __init__(self, groups: Groups, settings: CoordinatorSettings) -> None:
        self._groups = groups
        self._settings = settings

    def retune(self, settings: CoordinatorSettings) -> None:
        """Serve the links that come from now on by these settings."""
        self._settings = settings

    async def serve(self, socket: WebSocket) -> None:
        """Serve one link until it ends."""
        await socket.accept(headers=[(LATER_HEADER.encode(), LATER_TEXT.encode())])
        link = MemberLink(socket, self._settings)
        writer = asyncio.create_task(link.write_all())
        reader = asyncio.create_task(self._listen(link, socket.scope[SCOPE_KEY]))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            link.cut("the coordinator ends this link")  # if it has not ended already
            await asyncio.wait({writer})
        if not reader.cancelled():
            reader.result()  # raises what our own defect is

    async def _listen(self, link: MemberLink, connection: Connection) -> None:
        try:
            request = await link.subscription()
            driver, member = self._groups.subscribe(request, link)
        except RefusedError as error:
            await _last_word(link, error)
            return
        except StateError as error:  # a full disk: whoever cannot be kept does not become a member
            log.error("a subscription failed: %s", error)
            link.cut("its state folder is full or cannot be written, so it takes no new members")
            return
        except GroupFailedError:
            link.cut("the coordinator brings this group back", COME_AGAIN)
            return
        except WebSocketDisconnect:
            link.cut("gone")
            return
        connection.admit()
        try:
            async for message in link.messages():
                await driver.said(member, link, message)
            link.cut("gone")
        except RemoteProtocolError as error:
            await _last_word(link, RefusedError("bad-message", str(error)))
        finally:
            connection.dismiss()
            await driver.gone(member, link)


async def _last_word(link: MemberLink, error: RefusedError) -> None:
    link.send(refusal(error))
    await asyncio.Event().wait()  # for the writer, which ends us when it has said it
