"""Draining and rebalancing by HTTP: which member a word names, and that what follows is kept and told."""

from __future__ import annotations

from tests.coordinator.conftest import Start, eventually, member_link, subscription

DRAIN = "/v1/groups/demo/members/{}/drain"


async def test_a_member_is_named_by_its_number_or_by_its_name_if_no_other_has_it(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna, member_link(running) as other, member_link(running) as third:
            for member, name in ((anna, "anna"), (other, "tv"), (third, "tv")):
                await member.say(subscription(token, name=name))
                await member.hear()
            for word in ("anna", "1"):
                asked = await http.post(DRAIN.format(word))
                assert asked.status_code == 200
                assert (asked.json()["member"], asked.json()["name"], asked.json()["draining"]) == (1, "anna", True)
            assert [one["id"] for one in asked.json()["left"]] == [2, 3]
            twice = await http.post(DRAIN.format("tv"))
            assert twice.status_code == 409
            assert "members 2, 3 have the name" in twice.json()["error"]
            for word in ("nobody", "77", "1" * 40, "\u0661", "%2e%2e"):
                gone = await http.post(DRAIN.format(word))
                assert gone.status_code == 404, word
                assert "\n" not in gone.json()["error"]
            assert (await http.delete(DRAIN.format("anna"))).json()["draining"] is False
            assert (await http.get(DRAIN.format("anna"))).json()["left"] == []


async def test_what_is_decided_is_kept_and_told_at_once(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            await anna.hear()
            await anna.hear()
            await http.post(DRAIN.format("anna"))

            def kinds() -> list[str]:
                return [event.kind for event in running.groups.get("demo").log.since(0, 100)]

            await eventually(lambda: "draining" in kinds())
        assert (await http.post("/v1/groups/demo/rebalance")).json()["moves"][0]["gain_links"] == 1


async def test_the_source_is_not_drained(start: Start) -> None:
    async with start() as running, running.http() as http:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token, role="source"))
            await anna.hear()
            refused = await http.post(DRAIN.format("anna"))
            assert refused.status_code == 409
            assert refused.json()["error"] == "member 1: it is the source"
