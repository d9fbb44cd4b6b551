"""A disk is filled to the last block although its user goes on writing all the while."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from overlaycast.lab.injection import machines
from tests.lab.inside import inside

pytestmark = pytest.mark.lab


@inside
def test_it_is_full_whoever_writes_meanwhile(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=75%", "tmpfs", str(disk)], check=True)
    stage: Any = SimpleNamespace(disks={"a": disk})
    hit: Any = SimpleNamespace(members=("a",), label="a")
    over = threading.Event()

    def write() -> None:
        with (disk / "stream").open("wb", buffering=0) as file:
            while not over.wait(0.0005):
                try:
                    file.write(bytes(4096))
                except OSError:
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = asyncio.run(machines.fill_disk(stage, None, hit))  # type: ignore[arg-type]
        assert "no block left" in done.evidence
        assert os.statvfs(disk).f_bavail == 0
        asyncio.run(machines.make_room(stage, None, hit))  # type: ignore[arg-type]
        assert os.statvfs(disk).f_bavail > 0
        assert sorted(each.name for each in disk.iterdir()) == ["stream"]
    finally:
        over.set()
        writer.join()
        subprocess.run(["umount", str(disk)], check=True)
