"""An upgrade of real machines while a live stream plays, and back again: a source hands over to a standby source.

A coordinator, two sources with the same live input, a backup server, and two sites behind routers. The tests are one
story, in the order in which they stand here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from overlaycast import __version__
from overlaycast.lab.network.isolation import is_isolated
from tests.deploy import camera
from tests.deploy.base_tree import ROOT
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.playing import Played, Player
from tests.deploy.versions import NEXT, artefact, template
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SITES: Final = {"berlin": ["berlin-1", "berlin-2"], "paris": ["paris-1"]}
PEERS: Final = [name for names in SITES.values() for name in names]
SOURCES: Final = ["studio-1", "studio-2"]
ADMIN: Final = "--coordinator=unix:/var/lib/overlaycast/admin.sock --admin-token-file=/var/lib/overlaycast/admin.token"
JOURNAL: Final = "/var/lib/overlaycast-news/journal.jsonl"
FIFO: Final = "/srv/news"
PATIENCE_S: Final = 120
BUSY_MS: Final = 1000.0
"""No silence may be as long, however busy this machine is: it runs all of these machines, and Ansible. docs/upgrade.md
has the figures."""


class Deployment:
    """All machines."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines = machines
        addresses = build(["server", *SOURCES, "spare"], SITES)
        for name, address in addresses.items():
            machines.boot(name, address, name)
        machines.wait()
        for name in SOURCES:
            (machines.of[name].root / "srv/camera.py").write_text(Path(camera.__file__).read_text())
            film = f"systemd-run --quiet --unit=camera python3 /srv/camera.py {FIFO}"
            machines.run(name, f"mkfifo --mode=0644 {FIFO} && {film}")
        self.player = Player(
            machines,
            folder,
            {"coordinator": ["server"], "sources": SOURCES, "backups": ["spare"]}
            | {f"site_{site}": names for site, names in SITES.items()},
            {
                "overlaycast_groups": {"news": {"settings": {"rate_mbit": 2, "start_members": len(PEERS)}}},
                "overlaycast_artefact": template(),
                "overlaycast_source_file": FIFO,
                "overlaycast_source_standby": True,
                "overlaycast_peer_settings": {"journal": JOURNAL},
                "overlaycast_disk_mb": 200,
            },
            sites=[f"site_{site}" for site in SITES],
        )

    def members(self) -> dict[str, dict[str, Any]]:
        """Return the seats of the group's tree, by name."""
        said = self.machines.run("server", f"overlaycast group tree news --json {ADMIN}")
        return {seat["name"]: seat for seat in json.loads(said)["members"]}

    def epoch(self) -> int:
        """Return the group's epoch."""
        return int(json.loads(self.machines.run("server", f"overlaycast group tree news --json {ADMIN}"))["epoch"])

    def wait(self, holds: Callable[[], object]) -> None:
        """Return when this holds."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, self.members()

    def all_are_linked(self) -> bool:
        """Whether every member has a link to the coordinator."""
        said = json.loads(self.machines.run("server", f"overlaycast group show news --json {ADMIN}"))
        return bool(said["connected"] == said["members"] == len(SOURCES) + len(PEERS) + 1)

    def sender(self) -> str:
        """Return the name of the source."""
        [name] = [name for name, seat in self.members().items() if seat["role"] == "source"]
        return name

    def journal(self, name: str) -> list[dict[str, Any]]:
        """Return what a peer has noted so far."""
        lines = self.machines.run(name, f"cat {JOURNAL}").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def upgrade(self, version: str) -> tuple[Played, dict[str, float], int]:
        """Have another version run; return what was said, each peer's longest silence in ms, and all records lost.

        What a peer misses while it is restarted itself is not counted: each of its lives is looked at alone.
        """
        before = {name: len(self.journal(name)) for name in PEERS}
        played = self.player.play("upgrade.yml", "-e", f"overlaycast_version={version}")
        assert played.code == 0, played.said
        silent: dict[str, float] = {}
        lost = 0
        for name in PEERS:
            lines = self.journal(name)[before[name] :]
            silent[name] = max(line["gap_ms"] for line in lines if line["kind"] == "sample")
            lost += sum(line["to_seq"] - line["from_seq"] for line in lines if line["kind"] == "lost")
        return played, silent, lost


@pytest.fixture(scope="module")
def deployment(machines: Machines | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment | None]:
    """The machines, which stay until the last test of this file; none outside of its namespaces."""
    if not is_isolated():
        artefact(NEXT)
        yield None
        return
    assert machines is not None
    yield Deployment(machines, tmp_path_factory.mktemp("ansible"))


def upgraded(deployment: Deployment, version: str) -> None:
    """Upgrade while the stream plays; nobody loses a record, and the other source sends."""
    sender = deployment.sender()
    [reserve] = [name for name in SOURCES if name != sender]
    assert deployment.members()[reserve]["role"] == "standby"
    played, silent, lost = deployment.upgrade(version)
    print(f"to {version}: longest silence in ms {silent}, records lost {lost}")
    assert lost == 0
    assert max(silent.values()) < BUSY_MS
    for name in ("server", "spare", *SOURCES, *PEERS):
        assert deployment.machines.run(name, "overlaycast --version").strip() == f"overlaycast {version}"
    order = re.findall(r"Restart what runs older settings or another version\] \*+\nchanged: \[([\w-]+)\]", played.said)
    assert order == ["server", *order[1:4], "spare", reserve, sender]
    assert set(order[1:4]) == set(PEERS)
    members = deployment.members()
    assert {members[name]["role"] for name in SOURCES} == {"source", "standby"}
    assert deployment.sender() == reserve
    assert {members[name]["state"] for name in (*PEERS, "spare")} == {"ACTIVE"}


@inside
def test_two_sources_with_the_same_input_are_set_up(deployment: Deployment) -> None:
    played = deployment.player.play("site.yml")
    assert played.code == 0, played.said
    members = deployment.members()
    assert members.keys() == {*SOURCES, "spare", *PEERS}
    assert sorted(members[name]["role"] for name in SOURCES) == ["source", "standby"]


@inside
def test_another_version_takes_over_while_the_stream_plays(deployment: Deployment) -> None:
    upgraded(deployment, NEXT)
    again = deployment.player.play("upgrade.yml", "-e", f"overlaycast_version={NEXT}")
    assert again.code == 0, again.said
    assert set(again.changed.values()) == {0}, again.said


@inside
def test_one_variable_takes_it_back(deployment: Deployment) -> None:
    upgraded(deployment, __version__)


@inside
def test_the_state_is_backed_up_and_restored_as_the_page_says(deployment: Deployment) -> None:
    commands = re.findall(r"^server# (.*)$", (ROOT / "docs/upgrade.md").read_text(), re.MULTILINE)
    before = deployment.members()
    epoch = deployment.epoch()
    for command in commands:
        deployment.machines.run("server", command)
    assert {name: seat["id"] for name, seat in deployment.members().items()} == {
        name: seat["id"] for name, seat in before.items()
    }
    deployment.wait(deployment.all_are_linked)
    assert deployment.epoch() >= epoch


@inside
def test_a_killed_source_is_relieved(deployment: Deployment) -> None:
    sender = deployment.sender()
    before = {name: len(deployment.journal(name)) for name in PEERS}
    deployment.machines.run(sender, "systemctl kill --signal=KILL overlaycast-send@news")
    deployment.wait(lambda: deployment.members().get(sender, {}).get("role") == "standby")
    assert deployment.sender() != sender
    for name in PEERS:
        lines = deployment.journal(name)[before[name] :]
        print(name, max(line["gap_ms"] for line in lines if line["kind"] == "sample"))
        assert not [line for line in lines if line["kind"] in ("lost", "end")]
