"""What a member says of its coordinator: not there, or there and not willing for now."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from overlaycast.agent.control import ControlLink
from overlaycast.errors import RefusedError
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import (
    VERSION,
    Address,
    CoordinatorMessage,
    Leaving,
    RefusalCode,
    Refused,
    Resume,
    Subscribe,
    Welcome,
)
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT, decode_from_member, encode

Answer = Callable[[ServerConnection], Awaitable[None]]
REQUEST = Subscribe(version=VERSION, group="g", token="t", name="a", addresses=(Address(host="", port=1),))
RESUME = Resume(member=1, secret="s" * 32, epoch=1, rank=1, next_seq=0)


async def first_words(answer: Answer, request: Subscribe = REQUEST) -> str:
    """Return what a member first says of a coordinator that answers so, without the coordinator's address.

    Raises:
        RefusedError: the member ended instead.
    """
    said: asyncio.Queue[str] = asyncio.Queue()
    async with serve(answer, "127.0.0.1", 0) as server, asyncio.timeout(60):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = ControlLink(url, lambda _: request, lambda _: None, said.put_nowait, random.Random(1))
        running, line = asyncio.create_task(link.run()), asyncio.create_task(said.get())
        await asyncio.wait({running, line}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, line):
            task.cancel()  # does nothing to the one that is done
        await asyncio.wait({running, line})
    if not running.cancelled():
        running.result()
    assert line.result().startswith(f"coordinator {url} ")
    return line.result().removeprefix(f"coordinator {url} ")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("its state folder is full", "ended the link, trying again: its state folder is full"),
        ("bad \x1b[2J", "ended the link, trying again: bad ?[2J"),
        ("", "not reachable, waiting: received 1008"),
    ],
)
async def test_why_a_link_was_ended_is_told_in_the_coordinators_words(reason: str, told: str) -> None:
    async def refuse(link: ServerConnection) -> None:
        await link.recv()
        await link.close(1008, reason)

    line = await first_words(refuse)
    assert line.startswith(told)
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("code", "resume", "ends"),
    [
        ("unknown-group", None, True),
        ("bad-token", None, True),
        ("full", None, False),
        ("unknown-group", RESUME, False),
        ("bad-token", RESUME, False),
        ("expired-token", RESUME, False),
        ("source-taken", RESUME, False),
        ("version", RESUME, False),
    ],
)
async def test_a_member_that_comes_back_is_not_ended_by_a_refusal(
    code: RefusalCode, resume: Resume | None, ends: bool
) -> None:
    """A coordinator on a wrong or an empty state knows nobody; streams go on, and members ask again."""

    async def refuse(link: ServerConnection) -> None:
        await link.recv()
        await link.send(encode(Refused(code=code, reason="no\x1b[2J")))

    request = REQUEST.model_copy(update={"resume": resume})
    if ends:
        with pytest.raises(RefusedError, match=r"^coordinator refused: no\?\[2J$"):
            await first_words(refuse, request)
    else:
        assert await first_words(refuse, request) == "refused, trying again: no?[2J"


@pytest.mark.parametrize(("code", "ends"), [("bad-message", False), ("full", False), ("other-contents", True)])
async def test_a_refusal_in_the_middle_is_a_warning_unless_the_source_has_other_contents(
    code: RefusalCode, ends: bool
) -> None:
    """A coordinator that does not understand one message of ours does not end a stream."""

    async def refuse(link: ServerConnection) -> None:
        await link.recv()
        await link.send(encode(Welcome(member=1, secret="s" * 16, settings=GroupSettings())))
        await link.send(encode(Refused(code=code, reason="not that")))

    if ends:
        with pytest.raises(RefusedError, match=r"^coordinator refused: not that$"):
            await first_words(refuse)
    else:
        assert await first_words(refuse) == "refused, trying again: not that"


async def test_a_restart_is_told_only_if_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlaycast.agent.control.RESTART_S", 0.5)
    ends: list[float] = []

    async def restart(link: ServerConnection) -> None:
        await link.recv()
        ends.append(asyncio.get_running_loop().time())
        if len(ends) == 1:
            await link.close(1012, "")
        else:
            await link.close(1008, "not yet")

    line = await first_words(restart)
    assert line.endswith("not yet")
    assert asyncio.get_running_loop().time() - ends[0] >= 0.5


@pytest.mark.parametrize(("header", "reason"), [(None, ""), (LATER_TEXT, "told to go")])
async def test_an_older_coordinator_is_sent_no_field_that_it_would_refuse(header: str | None, reason: str) -> None:
    heard: asyncio.Queue[str | bytes] = asyncio.Queue()
    knows: list[str | None] = []

    async def welcome(server_link: ServerConnection) -> None:
        assert server_link.request is not None
        knows.append(server_link.request.headers.get(LATER_HEADER))
        await server_link.recv()
        await server_link.send(encode(Welcome(member=1, secret="s" * 16, settings=GroupSettings())))
        heard.put_nowait(await server_link.recv())

    def on_message(_: CoordinatorMessage) -> None:
        link.send(Leaving(reason="told to go"))

    def respond(_: ServerConnection, request: Request, response: Response) -> None:
        if header is not None:
            response.headers[LATER_HEADER] = header

    async with serve(welcome, "127.0.0.1", 0, process_response=respond) as server, asyncio.timeout(60):
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = ControlLink(url, lambda _: REQUEST, on_message, lambda _: None, random.Random(1))
        running = asyncio.create_task(link.run())
        said = await heard.get()
        running.cancel()
        await asyncio.wait({running})
    assert decode_from_member(said) == Leaving(reason=reason)
    assert ("reason" in str(said)) == bool(header)
    assert knows[0] == LATER_TEXT
