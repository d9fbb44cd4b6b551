"""A real coordinator under a service manager."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import httpx

from tests.coordinator.test_command import command
from tests.service_manager import ServiceManager


async def test_a_coordinator_is_ready_once_it_listens_and_says_what_it_has(tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = command("coordinator", "--listen", "127.0.0.1:0", "--state", state, "--no-trace")
    with ServiceManager(str(tmp_path / "notify")) as manager:
        environ = {**os.environ, **manager.environ, "WATCHDOG_USEC": "400000"}
        process = await asyncio.create_subprocess_exec(*words, env=environ, stderr=subprocess.DEVNULL)
        try:
            first = await manager.heard("READY")
            assert first["STATUS"].startswith("listens on 127.0.0.1:")
            assert first["STATUS"].endswith("; 0 groups, 0 members connected")
            url = f"http://{first['STATUS'].removeprefix('listens on ').split(';')[0]}"
            token = (state / "admin.token").read_text().strip()
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
                made = await client.post(f"{url}/v1/groups", json={"name": "g", "settings": {}})
                assert made.status_code == 201, made.text
            told = await manager.heard("STATUS")
            assert told["STATUS"].endswith("; 1 group, 0 members connected")
            await manager.heard("WATCHDOG")
            process.send_signal(signal.SIGTERM)
            assert (await manager.heard("STOPPING"))["STATUS"] == "told to go, closes its links"
            async with asyncio.timeout(90):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_bounds_follow_a_reload_and_the_rest_is_named(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "c.toml"
    file.write_text("[coordinator]\ngroups_limit = 1\n")
    words = command("coordinator", "--listen", "127.0.0.1:0", "--state", state, "--no-trace", "--config", file)
    with ServiceManager(str(tmp_path / "notify")) as manager:
        process = await asyncio.create_subprocess_exec(
            *words, env={**os.environ, **manager.environ}, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            url = f"http://{(await manager.heard('READY'))['STATUS'].removeprefix('listens on ').split(';')[0]}"
            token = (state / "admin.token").read_text().strip()
            await process.stderr.readline()
            again = "settings were read again: "
            for limit, said, allowed in (
                (1, f"{again}nothing changes; after a restart also: measure_at_once", 201),
                (0, "settings stay as they are: overlaycast coordinator: groups-limit: ", 409),
                (2, f"{again}groups_limit is 2 now; after a restart also: measure_at_once", 201),
            ):
                file.write_text(f"[coordinator]\ngroups_limit = {limit}\nmeasure_at_once = 7\n")
                process.send_signal(signal.SIGHUP)
                assert said in (await process.stderr.readline()).decode()
                async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
                    made = await client.post(f"{url}/v1/groups", json={"name": f"g{limit}", "settings": {}})
                assert made.status_code == allowed, made.text
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(90):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def test_a_terminal_that_is_gone_is_no_reload(tmp_path: Path) -> None:
    words = command("coordinator", "--listen", "127.0.0.1:0", "--state", tmp_path / "state", "--no-trace")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(90) == 0


async def test_a_coordinator_that_cannot_start_is_never_ready(tmp_path: Path) -> None:
    words = command("coordinator", "--listen", "203.0.113.7:1", "--state", tmp_path / "state", "--no-trace")
    with ServiceManager(str(tmp_path / "notify")) as manager:
        process = await asyncio.create_subprocess_exec(
            *words, env={**os.environ, **manager.environ}, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(90):
            assert await process.wait() == 2, "what RestartPreventExitStatus= of the units counts on"
        manager.forget()
        assert manager.unready
