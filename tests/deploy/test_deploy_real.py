"""``overlaycast deploy`` on three real machines: a coordinator, a source, a peer.

The tests are one story, in the order in which they stand here: bare hosts, a second run, interrupted runs, roles that
move, units that fail, another version, and the end.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from overlaycast import __version__
from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.playing import BIN, Played, Player
from tests.deploy.traces import traces
from tests.deploy.versions import NEXT, artefact
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

HOSTS: Final = ("server", "studio", "viewer")
GROUPS: Final = {"coordinator": ["server"], "sources": ["studio"], "peers": ["viewer"]}
UNITS: Final = {
    "server": "overlaycast-coordinator",
    "studio": "overlaycast-send@news",
    "viewer": "overlaycast-join@news",
}
PATIENCE_S: Final = 120
RECORDING: Final = "/var/lib/overlaycast-news/news.ts"


@dataclass
class Deployment:
    """Three machines, how they were before, and what the first ``up`` did."""

    machines: Machines
    player: Player
    folder: Path
    before: dict[str, set[str]]
    first: Played

    @property
    def private(self) -> Path:
        return self.folder / "private"

    def deploy(self, command: str, *words: str) -> Played:
        """Run a command of ``overlaycast deploy``."""
        return run(self.player, self.folder, command, *words)

    def changes(self, played: Played) -> dict[str, int]:
        """Return the column CHANGED of the table at the end."""
        rows = [line.split() for line in played.said.splitlines() if line.split(" ", 1)[0] in HOSTS]
        return {row[0]: int(row[2]) for row in rows if len(row) > 3 and row[1].isdecimal()}

    def pid(self, host: str, unit: str) -> str:
        """Return the process of a unit."""
        return self.machines.run(host, f"systemctl show --property MainPID --value {unit}").strip()

    def words(self, host: str, unit: str) -> str:
        """Return the command line of a unit's process."""
        return self.machines.run(host, f"cat /proc/{self.pid(host, unit)}/cmdline").replace("\0", " ")

    def change(self, **variables: Any) -> None:
        """Set variables of the inventory."""
        inventory = yaml.safe_load(self.player.inventory.read_text())
        inventory["all"]["vars"] |= variables
        self.player.inventory.write_text(yaml.safe_dump(inventory))

    def roles(self, **groups: list[str]) -> None:
        """Give the hosts other groups."""
        inventory = yaml.safe_load(self.player.inventory.read_text())
        hosts = {name: of for group in inventory["all"]["children"].values() for name, of in group["hosts"].items()}
        inventory["all"]["children"] = {
            group: {"hosts": {name: hosts[name] for name in names}} for group, names in groups.items()
        }
        self.player.inventory.write_text(yaml.safe_dump(inventory))


def run(player: Player, folder: Path, command: str, *words: str) -> Played:
    program = [str(BIN / "overlaycast"), "deploy", command, str(player.inventory), *words]
    return player.run([*program, "--private-dir", str(folder / "private")])


@pytest.fixture(scope="module")
def deployment(machines: Machines | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment | None]:
    """The machines after the first ``up``; none outside of their namespaces."""
    if not is_isolated():
        for version in (__version__, NEXT):
            artefact(version)
        yield None
        return
    assert machines is not None
    for name, address in build(HOSTS).items():
        machines.boot(name, address, name)
    machines.wait()
    folder = tmp_path_factory.mktemp("ansible")
    variables = {
        "overlaycast_groups": {"news": {"settings": {"rate_mbit": 2}}},
        "overlaycast_source_synthetic_s": 36_000,
        "overlaycast_source_rate": "2M",
        "overlaycast_firewall": True,
        "overlaycast_disk_mb": 200,
    }
    player = Player(machines, folder, GROUPS, variables)
    before = {name: traces(machines, name) for name in HOSTS}
    first = run(player, folder, "up", "--artefact", str(artefact()))
    yield Deployment(machines, player, folder, before, first)


@inside
def test_bare_hosts_become_members_that_are_fed(deployment: Deployment) -> None:
    assert deployment.first.code == 0, deployment.first.said
    assert min(deployment.changes(deployment.first).values()) > 5
    assert "Wait until every member is fed" in deployment.first.said
    recorded = f"timeout 60 sh -c 'until [ -s {RECORDING} ]; do sleep 0.2; done'"
    deployment.machines.run("viewer", recorded)


@inside
def test_a_second_run_changes_nothing_and_no_run_leaves_a_secret(deployment: Deployment) -> None:
    played = deployment.deploy("up")
    assert played.code == 0, played.said
    assert deployment.changes(played) == dict.fromkeys(HOSTS, 0), played.said
    token = deployment.machines.run("server", "cat /etc/overlaycast/news.token").strip()
    admin = deployment.machines.run("server", "cat /var/lib/overlaycast/admin.token").strip()
    assert min(len(token), len(admin)) > 20
    files = [path for path in deployment.private.rglob("*") if path.is_file()]
    assert len(files) > 100
    told = [path for path in files if any(one.encode() in path.read_bytes() for one in (token, admin))]
    assert told == []
    assert deployment.private.stat().st_mode & 0o777 == 0o700


@inside
def test_the_status_is_a_table_with_the_tree_or_json(deployment: Deployment) -> None:
    played = deployment.deploy("status", "--json")
    assert played.code == 0, played.said
    view = json.loads(played.said[played.said.index("{") :])
    assert view["hosts"].keys() == set(HOSTS)
    for host in view["hosts"].values():
        assert (host["reached"], host["version"]) == (True, __version__)
        assert {unit["state"] for unit in host["units"]} == {"active"}
    assert {member["name"] for member in view["groups"]["news"]["members"]} == {"studio", "viewer"}


@inside
def test_what_an_interrupted_run_did_not_restart_is_restarted_by_the_next(deployment: Deployment) -> None:
    before = {name: deployment.pid(name, unit) for name, unit in UNITS.items()}
    deployment.machines.run("viewer", "sleep 1; touch /etc/overlaycast/news.toml")  # written, and then Ctrl-C
    played = deployment.deploy("up")
    assert (played.code, deployment.changes(played)) == (0, {"server": 0, "studio": 0, "viewer": 1}), played.said
    after = {name: deployment.pid(name, unit) for name, unit in UNITS.items()}
    assert {name for name in HOSTS if after[name] != before[name]} == {"viewer"}
    again = deployment.deploy("up")
    assert set(deployment.changes(again).values()) == {0}, again.said


@inside
def test_a_version_that_was_installed_and_not_started_is_started(deployment: Deployment) -> None:
    next_ = str(artefact(NEXT))
    played = deployment.deploy("up", "--artefact", next_, "--tags", "install")
    assert played.code == 0, played.said
    assert deployment.machines.run("viewer", "readlink /opt/overlaycast/current") == f"{NEXT}\n"
    assert f"/opt/overlaycast/{__version__}/" in deployment.words("viewer", UNITS["viewer"])
    played = deployment.deploy("up", "--artefact", next_)
    assert played.code == 0, played.said
    for name, unit in UNITS.items():
        assert f"/opt/overlaycast/{NEXT}/" in deployment.words(name, unit)
    deployment.change(overlaycast_version=NEXT)
    again = deployment.deploy("up")
    assert set(deployment.changes(again).values()) == {0}, again.said


@inside
def test_a_host_that_moves_to_another_role_loses_the_old_one(deployment: Deployment) -> None:
    deployment.roles(coordinator=["server"], sources=["studio"], relays=["viewer"])
    played = deployment.deploy("up")
    assert played.code == 0, played.said
    units = deployment.machines.run("viewer", "ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants")
    assert "overlaycast-relay@news.service" in units
    assert "overlaycast-join@" not in units
    assert deployment.machines.run("viewer", "systemctl is-active overlaycast-join@news", check=False) == "inactive\n"
    assert set(deployment.changes(deployment.deploy("up")).values()) == {0}
    deployment.roles(**GROUPS)
    assert deployment.deploy("up").code == 0


@inside
def test_a_unit_that_fails_is_told_with_its_own_last_lines(deployment: Deployment) -> None:
    deployment.change(overlaycast_source_synthetic_s=0, overlaycast_source_file="/srv/none.ts")
    played = deployment.deploy("up")
    assert played.code == 1
    assert "studio: Wait for each unit: overlaycast-send@news.service is failed/failed, exit-code" in played.said
    assert "    " in played.said
    [last] = [line for line in played.said.splitlines() if line.startswith("    ") and "/srv/none.ts" in line][-1:]
    assert "No such file" in last
    status = deployment.deploy("status")
    assert status.code == 1
    assert "studio  overlaycast-send@news    failed" in status.said
    logs = deployment.deploy("logs", "studio", "--unit", "send@news", "--lines", "5")
    assert logs.code == 0, logs.said
    lines = logs.said.splitlines()
    assert 0 < len(lines) <= 5
    assert all(line.startswith("studio  ") for line in lines)
    deployment.change(overlaycast_source_synthetic_s=36_000, overlaycast_source_file="")
    assert deployment.deploy("up").code == 0


@inside
def test_logs_can_be_followed(deployment: Deployment) -> None:
    program = [str(BIN / "overlaycast"), "deploy", "logs", str(deployment.player.inventory), "viewer", "--follow"]
    with subprocess.Popen(
        [*program, "--lines", "1", "--private-dir", str(deployment.private)],
        env=deployment.player.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        bound = threading.Timer(PATIENCE_S, process.kill)
        bound.start()
        try:
            assert process.stdout.readline().startswith("viewer  ")
            deployment.machines.run("viewer", "systemctl restart --no-block overlaycast-join@news")
            assert any("Stopped overlaycast-join@news" in line for line in process.stdout)
        finally:
            bound.cancel()
            process.terminate()
    assert process.returncode == 143


@inside
def test_another_version_and_then_nothing(deployment: Deployment) -> None:
    played = deployment.deploy("upgrade", "--version", __version__)  # it is still installed
    assert played.code == 0, played.said
    for name, unit in UNITS.items():
        assert deployment.machines.run(name, "overlaycast --version").strip() == f"overlaycast {__version__}"
        assert deployment.machines.run(name, f"systemctl is-active {unit}") == "active\n"
    gone = deployment.deploy("down", "--data", "--yes")
    assert gone.code == 0, gone.said
    after = {name: traces(deployment.machines, name) for name in HOSTS}
    differ = {name: sorted(after[name] ^ deployment.before[name]) for name in HOSTS}
    assert not any(differ.values()), differ
