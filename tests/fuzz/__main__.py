"""Fuzz real programs: ``python -m tests.fuzz --seed 1 --steps 1000``.

Everything runs on the loopback interface of a network namespace of its own, from which no address can be reached.
On a failure it says what was found, the step, and how to do it again; the transcript and all logs stay in a folder.
Draws follow from the seed and from what a session has heard. When things happen depends on the machine, so a failure
that depends on the order of sessions may need more than one try.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.fuzz import victims as victims_side
from tests.fuzz.campaign import Campaign, FoundError
from tests.fuzz.frames import FRAMES
from tests.fuzz.honest import Honest
from tests.fuzz.members import Members
from tests.fuzz.messages import FROM_COORDINATOR, FROM_MEMBER, kind_of
from tests.fuzz.requests import Requests
from tests.fuzz.strangers import Strangers
from tests.fuzz.victims import Victims

ALL_REACHED: Final = 1000
"""From so many steps on every kind must have been said, and these answers heard."""
ANSWERS: Final = (
    "member hears welcome",
    "member hears assign",
    "member hears ping",
    "http answers 200",
    "http answers 422",
    "data link answers Data",
    "data link answers Refuse",
    "dials with Hello",
    "dials with Call",
    "dials with Enter",
    "dials with Offer",
    "victim-live says report",
    "victim-live says not-receiving",
    "victim-sender says contents",
)


def main() -> int:
    """Return 0 if nothing was found, 1 if something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", default="", help="run only these sessions, separated by commas")
    parser.add_argument("--folder", type=Path, help="where logs and the transcript stay; default: a new one")
    parser.add_argument("--counts", action="store_true", help="print how often each kind was said and heard")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        return _inside_a_namespace()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="overlaycast-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    code = asyncio.run(_run(folder.resolve(), given))
    if code == 0 and given.folder is None:
        shutil.rmtree(folder)
    return code


def _inside_a_namespace() -> int:
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    return subprocess.run(
        [*words, sys.executable, "-m", "tests.fuzz", "--inside", *sys.argv[1:]], check=False
    ).returncode


async def _run(folder: Path, given: argparse.Namespace) -> int:
    campaign = Campaign(given.seed, given.steps, frozenset(filter(None, given.only.split(","))), folder / "steps")
    honest, victims = Honest(folder), Victims(campaign, folder)
    began = time.monotonic()
    try:
        await _campaign(campaign, honest, victims)
    except (FoundError, TimeoutError) as error:
        print(f"The newest of {campaign.steps} steps with seed {campaign.seed}:")
        print("\n".join(line[:200] for line in campaign.recent()))
        print(f"\nFOUND at step {campaign.steps}: {error}")
        print(f"\nAll steps, and what the programs said: {folder}")
        print(f"Again: python -m tests.fuzz --seed {campaign.seed} --steps {given.steps}")
        print("The sessions at that time alone: add --only " + ",".join(campaign.sessions_lately()))
        return 1
    finally:
        await honest.close()
        for program in victims.programs():
            await program.kill()
        campaign.close()
    seconds = time.monotonic() - began
    print(
        f"seed {campaign.seed}: {campaign.steps} steps in {seconds:.0f} s; "
        f"{honest.sent_bytes} bytes arrived twice, 0 lost; "
        f"slowest answer {honest.slowest_answer_s:.2f} s; longest gap {honest.longest_gap_ms():.0f} ms; "
        f"{victims.lives()} programs ended as they were told and were started again"
    )
    for program in [*honest.programs.values(), *victims.programs()]:
        print(f"  {program.name}: up to {program.most_mib:.0f} MiB, {program.most_descriptors} descriptors")
    if given.counts:
        for kind, count in sorted((campaign.reached + campaign.heard).items()):
            print(f"  {count:7} {kind}")
    return 0


async def _campaign(campaign: Campaign, honest: Honest, victims: Victims) -> None:
    await honest.start()
    await honest.create("open", {"rate_mbit": 1})
    await honest.create("file", {"mode": "file"})
    members = Members(campaign, honest)
    requests = Requests(campaign, honest, await honest.openapi())
    strangers = Strangers(campaign)
    background = [asyncio.create_task(work) for work in (honest.watch(), _judge(honest))]
    try:
        await _unless_found(honest.flows(), background)
        await victims.start()
        watch = asyncio.create_task(victims.watch())
        background.append(watch)
        work = [
            *(campaign.sessions("members", f"member-{n}", members.session) for n in range(10)),
            *(campaign.sessions("http", f"http-{n}", requests.session) for n in range(2)),
            *(campaign.sessions("strangers", f"stranger-{n}", strangers.session) for n in range(4)),
            *victims_side.workers(victims, campaign, 2),
            _wait(campaign.done),
        ]
        await _unless_found(_all(work), background)
        campaign.closing = True
        members.close()
        await _unless_found(asyncio.sleep(1), background)
        watch.cancel()
        await victims.end()
        for task in background:
            task.cancel()
        await honest.end()
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await victims.close()
    if campaign.whole and campaign.steps >= ALL_REACHED:
        _judge_reached(campaign, requests)


async def _all(work: list[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _unless_found(work: Coroutine[Any, Any, None], background: list[asyncio.Task[None]]) -> None:
    """Do the work, unless one of those in the background finds something first."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task, *background}, return_when=asyncio.FIRST_COMPLETED)
    if task not in done:
        task.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await task
    for one in done:
        try:
            one.result()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None


async def _judge(honest: Honest) -> None:
    while True:
        honest.judge()
        await asyncio.sleep(0.2)


def _judge_reached(campaign: Campaign, requests: Requests) -> None:
    """Nothing that travels was left out, and it was said to those who listened."""
    wanted = {f"member {kind_of(model)}" for model in FROM_MEMBER}
    wanted |= {f"coordinator {kind_of(model)}" for model in FROM_COORDINATOR}
    wanted |= {f"frame {frame.__name__}" for frame in FRAMES}
    wanted |= {f"http {route.method} {route.path}" for route in requests.routes}
    missing = sorted(wanted - set(campaign.reached))
    if missing:
        raise FoundError(f"never said: {', '.join(missing)}")
    heard = " ".join(campaign.heard)
    unheard = [answer for answer in ANSWERS if answer not in heard]
    if unheard:
        raise FoundError(f"never heard, so the programs were not in the states that matter: {', '.join(unheard)}")


if __name__ == "__main__":
    sys.exit(main())
