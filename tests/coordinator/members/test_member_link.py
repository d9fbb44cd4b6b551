"""The members' door with real WebSockets: who gets in, who does not, and what ends a link."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from overlaycast.wire.messages import Assign, Ended, Leaving, Ping, Refused, Released, Report, Resume, Welcome
from overlaycast.wire.text import LATER_HEADER, LATER_TEXT
from tests.coordinator.conftest import Member, Start, eventually, member_link, subscription


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {"epoch": 1, "parent": None, "state": "waiting", "next_seq": 0, "interval_ms": 1000}
    return Report.model_validate({**fields, "bytes": 0, "records": 0, **changes})


async def closed(member: Member) -> int:
    """Wait for the end of the link and return its code."""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionClosed):
            async for _ in member.socket:
                pass
        await member.socket.wait_closed()
    assert member.socket.close_code is not None
    return member.socket.close_code


async def refusal(member: Member) -> Refused:
    answer = await member.hear()
    assert isinstance(answer, Refused)
    assert "\n" not in answer.reason
    assert await closed(member) == 1008
    return answer


async def welcome(member: Member, token: str, **changes: Any) -> Welcome:
    await member.say(subscription(token, **changes))
    answer = await member.hear()
    assert isinstance(answer, Welcome)
    return answer


async def test_a_subscriber_is_welcomed_measured_and_placed(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            greeting = await welcome(anna, token)
            assert greeting.member == 1
            order = await anna.hear()
            assert isinstance(order, Assign)
            record = running.overlay().records[1]
            assert record["host"] == "127.0.0.1"  # it named none: the one that we saw
            assert 0 < record["rtt_ms"] < 5000


async def test_a_member_is_told_which_later_fields_are_known(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        assert anna.socket.response is not None
        assert anna.socket.response.headers[LATER_HEADER] == LATER_TEXT


async def test_an_address_that_a_member_names_is_kept(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token, addresses=({"host": "192.0.2.7", "port": 9000},))
            assert running.overlay().records[1]["host"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "wrong"}, "bad-token"),
        ({"group": "other"}, "unknown-group"),
        ({"version": 1}, "version"),
    ],
)
async def test_a_wrong_subscriber_is_refused_and_never_a_member(
    start: Start, changes: dict[str, Any], code: str
) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token).model_copy(update=changes))
            assert (await refusal(anna)).code == code
        assert running.overlay().records == {}


async def test_a_later_version_is_named_even_if_its_messages_look_different(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        await anna.socket.send(json.dumps({"kind": "subscribe", "version": 7, "of": ["another", "shape"]}))
        answer = await refusal(anna)
        assert (answer.code, "accepted: 2" in answer.reason) == ("version", True)


async def test_a_missing_token_is_refused(start: Start) -> None:
    async with start() as running:
        fields = json.loads(subscription(await running.create()).model_dump_json(exclude_none=True))
        del fields["token"]
        async with member_link(running) as anna:
            await anna.socket.send(json.dumps(fields))
            answer = await refusal(anna)
            assert (answer.code, "token" in answer.reason) == ("bad-message", True)
        assert running.overlay().records == {}


async def test_an_expired_token_lets_nobody_new_in_but_keeps_nobody_out(start: Start) -> None:
    async with start() as running:
        token = await running.create(token_ttl_s=3600)
        async with member_link(running) as anna:
            greeting = await welcome(anna, token)
        running.groups._clock._offset += 3601
        async with member_link(running) as bert:
            await bert.say(subscription(token, name="bert"))
            assert (await refusal(bert)).code == "expired-token"
        async with member_link(running) as liar:
            bogus = Resume(member=1, secret="x" * 32, epoch=1, rank=1, parent=None, next_seq=0)
            await liar.say(subscription(token, name="liar", resume=bogus))
            assert (await refusal(liar)).code == "expired-token"
        async with member_link(running) as anna:
            back = Resume(member=1, secret=greeting.secret, epoch=1, rank=1, parent=None, next_seq=0)
            assert (await welcome(anna, token, resume=back)).member == 1


@pytest.mark.parametrize(
    "garbage",
    ["", "{", "null", "[]", '"subscribe"', '{"kind": "subscribe"}', '{"kind": "report"}', "\x00" * 99, b"\xff\xfe"],
)
async def test_garbage_is_refused_and_ends_only_its_own_link(start: Start, garbage: str | bytes) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as vandal:
            await welcome(anna, token)
            await vandal.socket.send(garbage)
            assert (await refusal(vandal)).code == "bad-message"
            assert isinstance(await anna.hear(), Assign)


async def test_garbage_from_a_member_ends_its_membership_link(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token)
            assert isinstance(await anna.hear(), Assign)
            await anna.socket.send('{"kind": "report", "epoch": -1}')
            assert (await refusal(anna)).code == "bad-message"
        await eventually(lambda: running.overlay().gone)
        assert running.overlay().gone == [1]


async def test_an_oversized_message_closes_the_link(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        await welcome(anna, await running.create())
        await anna.socket.send("x" * (300 * 1024))
        assert await closed(anna) == 1009


async def test_who_says_nothing_is_sent_away(start: Start) -> None:
    async with start(subscribe_timeout_s=0.2) as running, member_link(running) as anna:
        answer = await refusal(anna)
        assert "0.2 s" in answer.reason


async def test_who_says_too_much_is_cut_off(start: Start) -> None:
    async with start(messages_per_s=5) as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token)
            assert isinstance(await anna.hear(), Assign)
            with contextlib.suppress(ConnectionClosed):  # we may notice it while we still talk
                for _ in range(100):
                    await anna.say(report())
            assert await closed(anna) == 1008


async def test_a_member_that_does_not_read_is_cut_off(start: Start) -> None:
    async with start(unread_limit_kib=64) as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token)
            (link,) = running.groups.get("demo")._connected.links()
            # nothing is awaited here, so the writer cannot keep up: the queue fills as with a peer that reads nothing
            for number in range(20_000):
                link.send(Assign(epoch=number, rank=1, depth=1, parent=None))
            assert link._queued == 0
            await eventually(lambda: running.overlay().gone)
        assert running.overlay().gone == [1]


async def test_the_second_source_is_refused_while_the_first_is_there(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as first:
            await welcome(first, token, role="source")
            async with member_link(running) as second:
                await second.say(subscription(token, name="other", role="source"))
                assert (await refusal(second)).code == "source-taken"


async def test_a_standby_comes_while_the_source_is_there_and_takes_a_place(start: Start) -> None:
    async with start(members_limit=3) as running:
        token = await running.create()
        async with member_link(running) as first, member_link(running) as second, member_link(running) as third:
            await welcome(first, token, role="source")
            await welcome(second, token, role="source", standby=True)
            await third.say(subscription(token, name="other", role="source", standby=True))
            assert (await refusal(third)).code == "full"


async def test_a_file_group_takes_no_standby(start: Start) -> None:
    async with start() as running, member_link(running) as anna:
        token = await running.create(settings={"mode": "file"})
        await anna.say(subscription(token, role="source", standby=True))
        assert "a file group, which has no standby" in (await refusal(anna)).reason


async def test_a_full_group_refuses(start: Start) -> None:
    async with start(members_limit=1) as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as bert:
            await welcome(anna, token)
            await bert.say(subscription(token, name="bert"))
            assert (await refusal(bert)).code == "full"


async def test_reports_reach_the_overlay_and_its_timer_is_kept(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token)
            assert isinstance(await anna.hear(), Assign)
            await anna.say(report(next_seq=7))
            assert isinstance(await anna.hear(), Ping)  # due 50 ms later, without any other message
            sender, message = running.overlay().received[0]
            assert (sender, getattr(message, "next_seq", None)) == (1, 7)
            await anna.say(Leaving())
            assert isinstance(await anna.hear(), Released)


async def test_a_newer_link_of_a_member_replaces_the_older(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as old, member_link(running) as new:
            greeting = await welcome(old, token)
            assert isinstance(await old.hear(), Assign)
            back = Resume(member=1, secret=greeting.secret, epoch=1, rank=1, parent=None, next_seq=0)
            assert (await welcome(new, token, resume=back)).member == 1
            assert await closed(old) == 1008
            await new.say(report())
            assert isinstance(await new.hear(), Ping)
            assert running.overlay().gone == []


async def test_a_wrong_secret_makes_a_new_member(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as liar:
            await welcome(anna, token)
            claim = Resume(member=1, secret="x" * 32, epoch=1, rank=1, parent=None, next_seq=0)
            assert (await welcome(liar, token, name="liar", resume=claim)).member == 2


async def test_members_survive_a_restart_of_the_coordinator(start: Start) -> None:
    async with contextlib.AsyncExitStack() as until_end:
        async with start() as running:
            token = await running.create()
            anna = await until_end.enter_async_context(member_link(running))
            greeting = await welcome(anna, token)
            order = await anna.hear()
            assert isinstance(order, Assign)
        # anna was linked while the coordinator went: that is no reason to take her for lost
        assert running.overlay().gone == []
        assert await closed(anna) == 1012
    async with start() as running:
        assert running.overlay().records[1]["name"] == "anna"
        assert running.overlay().epoch == order.epoch
        async with member_link(running) as anna, member_link(running) as bert:
            back = Resume(member=1, secret=greeting.secret, epoch=order.epoch, rank=1, parent=None, next_seq=0)
            assert (await welcome(anna, token, resume=back)).member == 1
            assert (await welcome(bert, token, name="bert")).member == 2


async def test_a_deleted_group_tells_its_members(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await welcome(anna, token)
            assert isinstance(await anna.hear(), Assign)
            async with running.http() as http:
                assert (await http.delete("/v1/groups/demo")).status_code == 200
            assert isinstance(await anna.hear(), Ended)
            assert await closed(anna) == 1008
            async with running.http() as http:
                assert (await http.get("/v1/groups/demo")).status_code == 404


async def test_the_event_of_a_member_names_those_that_have_its_name_already(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as first, member_link(running) as second, member_link(running) as other:
            assert (await welcome(first, token, name="tv")).member == 1
            assert (await welcome(second, token, name="tv")).member == 2
            await welcome(other, token, name="radio")
            events = running.groups.get("demo").log.since(0, 100)
            assert [event.details.get("namesakes") for event in events if event.kind == "connected"] == [
                None,
                [1],
                None,
            ]


async def test_a_member_is_told_of_its_namesakes_if_it_knows_the_field(start: Start) -> None:
    async with start() as running:
        token = await running.create()
        knows = {LATER_HEADER: f"{LATER_TEXT}, something.else"}
        async with member_link(running) as first, member_link(running) as older, member_link(running, knows) as newer:
            assert (await welcome(first, token, name="tv")).namesakes is None
            assert (await welcome(older, token, name="tv")).namesakes is None
            assert (await welcome(newer, token, name="tv")).namesakes == (1, 2)
