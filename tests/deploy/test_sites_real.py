"""The playbooks on real machines: a coordinator, a source, a backup server, and two sites of two behind routers.

The tests are one story, in the order in which they stand here: bare hosts, a stream, an upgrade, bare hosts again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from overlaycast import __version__
from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.playing import Player
from tests.deploy.traces import traces
from tests.deploy.versions import NEXT, artefact, template
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SITES: Final = {"berlin": ["berlin-1", "berlin-2"], "paris": ["paris-1", "paris-2"]}
PEERS: Final = [name for names in SITES.values() for name in names]
ADMIN: Final = "--coordinator=unix:/var/lib/overlaycast/admin.sock --admin-token-file=/var/lib/overlaycast/admin.token"
PATIENCE_S: Final = 120
SHARE: Final = 500_000
"""Bytes of each recording that are compared."""


class Deployment:
    """All machines, and how they were before."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines = machines
        addresses = build(["server", "studio", "spare"], SITES)
        for name, address in addresses.items():
            machines.boot(name, address, name)
        machines.wait()
        groups = {"coordinator": ["server"], "sources": ["studio"], "backups": ["spare"]}
        settings = {"rate_mbit": 2, "start_members": len(PEERS)}
        self.player = Player(
            machines,
            folder,
            groups | {f"site_{site}": names for site, names in SITES.items()},
            {
                "overlaycast_groups": {"news": {"settings": settings}},
                "overlaycast_artefact": template(),
                "overlaycast_source_synthetic_s": 36_000,
                "overlaycast_source_rate": "2M",
                "overlaycast_firewall": True,
                "overlaycast_disk_mb": 200,
            },
            sites=[f"site_{site}" for site in SITES],
        )
        self.before = self.traces()

    def traces(self) -> dict[str, set[str]]:
        """Return what each machine has now."""
        return {name: traces(self.machines, name) for name in self.machines.of}

    def wait_for_data(self) -> None:
        """Return when every peer says that it receives."""
        until = time.monotonic() + PATIENCE_S
        while not all((seat := self.members().get(name)) and seat["receive_mbit"] for name in PEERS):
            assert time.monotonic() < until, self.members()

    def members(self) -> dict[str, dict[str, Any]]:
        """Return the seats of the group's tree, by name."""
        said = self.machines.run("server", f"overlaycast group tree news --json {ADMIN}")
        return {seat["name"]: seat for seat in json.loads(said)["members"]}


@pytest.fixture(scope="module")
def deployment(machines: Machines | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment | None]:
    """The machines, which stay until the last test of this file; none outside of its namespaces."""
    if not is_isolated():
        artefact(NEXT)
        yield None
        return
    assert machines is not None
    yield Deployment(machines, tmp_path_factory.mktemp("ansible"))


@inside
def test_a_check_says_what_would_be_done_and_does_nothing(deployment: Deployment) -> None:
    played = deployment.player.play("site.yml", "--check", "--diff")
    assert played.code == 0, played.said
    assert min(played.changed.values()) > 0, "it said nothing of what it would do"
    assert "+rate_mbit" in played.said or "rate_mbit: 2" in played.said
    assert deployment.traces() == deployment.before


@inside
def test_what_is_wrong_with_a_host_is_said_before_any_is_changed(deployment: Deployment) -> None:
    wrong = ("-e", '{"overlaycast_clock_tolerance_s": -3600, "overlaycast_disk_mb": 900000000}')
    played = deployment.player.play("site.yml", *wrong)
    assert played.code != 0
    assert "controller's; accepted is up to -3600 s" in played.said
    assert "overlaycast_disk_mb asks for 900000000" in played.said
    assert max(played.changed.values()) == 0
    assert deployment.traces() == deployment.before


@inside
def test_bare_hosts_become_members_that_are_fed(deployment: Deployment) -> None:
    played = deployment.player.play("site.yml")
    assert played.code == 0, played.said
    members = deployment.members()
    assert members.keys() == {"studio", "spare", *PEERS}
    token = deployment.machines.run("server", "cat /etc/overlaycast/news.token").strip()
    assert token not in played.said
    modes = {name: deployment.machines.run(name, "stat -c '%a %U' /etc/overlaycast/news.token") for name in PEERS}
    assert set(modes.values()) == {"600 root\n"}


@inside
def test_a_second_run_changes_nothing(deployment: Deployment) -> None:
    played = deployment.player.play("site.yml")
    assert played.code == 0, played.said
    assert set(played.changed.values()) == {0}, played.said


@inside
def test_the_stream_reaches_every_peer_and_nothing_is_lost(deployment: Deployment) -> None:
    recorded = (
        f"timeout 60 sh -c 'until [ $(stat -c %s $0) -ge {SHARE} ]; do sleep 0.2; done; head -c {SHARE} $0 | sha256sum'"
    )
    file = "/var/lib/overlaycast-news/news.ts"
    sums = {name: deployment.machines.run(name, f"{recorded} {file}") for name in PEERS}
    assert len(set(sums.values())) == 1, sums
    members = deployment.members()
    assert {name: members[name]["lost"] for name in PEERS} == dict.fromkeys(PEERS, 0)
    assert {members[name]["state"] for name in PEERS} == {"ACTIVE"}


@inside
def test_the_status_shows_each_unit_and_the_tree(deployment: Deployment) -> None:
    played = deployment.player.play("status.yml")
    assert played.code == 0, played.said
    for name in PEERS:
        assert re.search(rf"{name} +overlaycast-join@news +active +{re.escape(__version__)}", played.said), played.said
    assert re.search(r"server +overlaycast-coordinator +active", played.said)
    assert "fed by studio" in played.said
    assert set(played.changed.values()) == {0}


@inside
def test_strangers_do_not_reach_the_ports(deployment: Deployment) -> None:
    stranger = ["bash", "-c", f"timeout 2 bash -c '</dev/tcp/{deployment.machines.of['server'].address}/8470'"]
    assert deployment.player.run(stranger).code != 0, "this test's own host is not in the inventory"


@inside
def test_another_version_takes_over_one_host_after_the_other(deployment: Deployment) -> None:
    played = deployment.player.play("upgrade.yml", "-e", f"overlaycast_version={NEXT}")
    assert played.code == 0, played.said
    for name in (*PEERS, "server", "studio", "spare"):
        assert deployment.machines.run(name, "overlaycast --version").strip() == f"overlaycast {NEXT}"
    order = re.findall(r"Restart what runs older settings or another version\] \*+\nchanged: \[([\w-]+)\]", played.said)
    assert order[0] == "server"
    assert order[-1] == "studio"
    assert set(order) == {*PEERS, "server", "studio", "spare"}
    again = deployment.player.play("upgrade.yml", "-e", f"overlaycast_version={NEXT}")
    assert again.code == 0, again.said
    assert set(again.changed.values()) == {0}, again.said


@inside
def test_one_variable_takes_it_back(deployment: Deployment) -> None:
    played = deployment.player.play("upgrade.yml")
    assert played.code == 0, played.said
    for name in (*PEERS, "server", "studio", "spare"):
        assert deployment.machines.run(name, "overlaycast --version").strip() == f"overlaycast {__version__}"
    deployment.wait_for_data()


@inside
def test_removal_keeps_what_was_recorded_until_told(deployment: Deployment) -> None:
    played = deployment.player.play("remove.yml")
    assert played.code == 0, played.said
    kept = deployment.machines.run(
        "berlin-1", "stat -c '%U %a' /var/lib/overlaycast-news; ls /var/lib/overlaycast-news"
    )
    assert kept.startswith("root 700\nnews")
    assert "overlaycast_remove_data=true" in played.said


@inside
def test_removal_leaves_nothing(deployment: Deployment) -> None:
    played = deployment.player.play("remove.yml", "-e", "overlaycast_remove_data=true")
    assert played.code == 0, played.said
    after = deployment.traces()
    differ = {
        name: sorted(after[name] ^ deployment.before[name]) for name in after if after[name] != deployment.before[name]
    }
    assert differ == {}
