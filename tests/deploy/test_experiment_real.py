"""An experiment on real machines behind routers, by the inventory of a deployment: ``overlaycast lab run --hosts``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.base_tree import ROOT
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.playing import BIN, Played, Player
from tests.deploy.versions import artefact
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

FIGURE_2A: Final = ROOT / "experiments" / "figure-2a.yaml"
SITES: Final = {"north": "abcdef", "east": "ghi", "south": "jk", "west": "lm"}
"""Those of figure 2A, with the letters of its clients."""
PEERS: Final = {site: [f"{site}-{number}" for number in range(1, len(letters) + 1)] for site, letters in SITES.items()}
PATIENCE_S: Final = 600


class Hosts:
    """Machines as the hosts of figure 2A: a coordinator, a source, a backup server, four sites behind routers."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self.machines, self.folder = machines, folder
        machines.install(artefact())
        addresses = build(["server", "studio", "spare"], PEERS)
        for name, address in addresses.items():
            machines.boot(name, address, name)
        machines.wait()
        groups = {"coordinator": ["server"], "sources": ["studio"], "backups": ["spare"]}
        sites = {f"branch_{number}": names for number, names in enumerate(PEERS.values())}
        self.player = Player(machines, folder, groups | sites, {}, sites=list(sites))
        self.before = self.traces()

    def traces(self) -> dict[str, str]:
        """Return what a run might leave on each machine."""
        look = (
            "systemctl list-units --all --plain --no-legend 'overlaycast*'; nft list tables; ls -d /run/overlaycast-lab"
            " /var/lib/overlaycast-lab 2>&1; tc qdisc show dev eth0; mount | grep overlaycast-lab; true"
        )
        return {name: self.machines.run(name, look, seconds=PATIENCE_S) for name in self.machines.of}

    def command(self, *words: object) -> list[str]:
        """Return the command of a run on these hosts."""
        lab = [str(BIN / "overlaycast"), "lab", "run", "--hosts", str(self.player.inventory)]
        return [*lab, *map(str, words)]

    def run(self, *words: object) -> Played:
        """Run an experiment, whatever becomes of it."""
        return self.player.run(self.command(*words), ROOT)


@pytest.fixture(scope="module")
def hosts(machines: Machines | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts | None]:
    """The machines of this file's tests; none outside of its namespaces."""
    if not is_isolated():
        artefact()
        yield None
        return
    assert machines is not None
    yield Hosts(machines, tmp_path_factory.mktemp("ansible"))


def result(out: Path) -> dict[str, Any]:
    """Return what a run concluded."""
    found: dict[str, Any] = json.loads((out / "result.json").read_text())
    return found


@inside
def test_figure_2a_comes_to_the_same_verdict_on_real_hosts(hosts: Hosts, tmp_path: Path) -> None:
    played = hosts.run(FIGURE_2A, "--out", tmp_path / "real")
    assert played.code == 0, played.said
    found = result(tmp_path / "real")
    assert found["verdict"] == "passed"
    assert [fault["action"] for fault in found["faults"]] == ["kill", "link-down"]
    assert all(one["why"] is None for one in found["expectations"])
    assert len(found["hosts"]["hosts"]) == 16
    assert "On real hosts:" in (tmp_path / "real" / "report.html").read_text()
    assert hosts.traces() == hosts.before


SMALL: Final = """
name: one-link
topology: {{file: {topologies}/figure_2a.py, name: figure_2a}}
group: {{rate_mbit: 2.2, default_out_degree: 3}}
stream: {{kind: synthetic, seconds: 30, rate_mbit: 2}}
members: {{peers: [202g, 202h, 202j], backups: [backup]}}
timeline:
  - {{at_s: 10, id: gap, action: link-down, target: 202g, heal_after_s: 8}}
expect:
  - {{metric: lost, op: "==", limit: 0}}
  - {{metric: queue_overflow, op: "==", limit: 0}}
"""


def small(folder: Path) -> Path:
    """Write a small experiment."""
    file = folder / "one-link.yaml"
    file.write_text(SMALL.format(topologies=ROOT / "topologies"))
    return file


@inside
def test_a_link_heals_by_itself_when_the_controller_is_killed(hosts: Hosts, tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as said:
        controller = subprocess.Popen(
            hosts.command(small(tmp_path), "--out", tmp_path / "out"),
            cwd=ROOT,
            env=hosts.player.environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            cut = first_cut(hosts, tmp_path)
        finally:
            os.killpg(controller.pid, signal.SIGKILL)
            controller.wait()
    assert "_gap" in tables(hosts, cut), "it is cut while the controller is killed"
    until = time.monotonic() + 60
    while "_gap" in tables(hosts, cut):
        assert time.monotonic() < until, "the link did not heal"
        time.sleep(0.2)
    deeds = hosts.machines.run(cut, "cat /run/overlaycast-lab/*/deeds.jsonl")
    done = [json.loads(line) for line in deeds.splitlines() if '"gap"' in line]
    assert [(one["what"], one["ok"], one["why"]) for one in done] == [("do", True, "asked"), ("undo", True, "asked")]
    assert 7.5 < done[1]["at"] - done[0]["at"] < 9
    # what its own timer would do minutes later
    for name in hosts.machines.of:
        hosts.machines.run(
            name, "systemctl start --wait $(ls /run/systemd/transient | grep -- -end.service) 2>&1; true"
        )
    for name in hosts.machines.of:
        hosts.machines.run(name, "rm -rf /var/lib/overlaycast-lab")
    assert hosts.traces() == hosts.before


def tables(hosts: Hosts, name: str) -> str:
    """Return the tables of nftables on a machine."""
    return hosts.machines.run(name, "nft list tables")


def first_cut(hosts: Hosts, folder: Path) -> str:
    """Return the machine that is cut from the others of a run, once one is."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        said = (folder / "said").read_text()
        assert "Traceback" not in said, said
        if "armed on 1 host" in said:
            cut = [one for one in (name for names in PEERS.values() for name in names) if "_gap" in tables(hosts, one)]
            if cut:
                return cut[0]
        time.sleep(0.2)
    raise AssertionError((folder / "said").read_text())


KINDS: Final = """
name: all-kinds
topology: {{file: {topologies}/figure_2a.py, name: figure_2a}}
group: {{rate_mbit: 2.2, default_out_degree: 3}}
stream: {{kind: synthetic, seconds: 75, rate_mbit: 2}}
members: {{peers: [202g, 202h, 202i, 202j, 202k], backups: [backup]}}
timeline:
  - {{at_s: 10, id: frozen, action: freeze, target: 202h, heal_after_s: 2}}
  - {{at_s: 20, id: again, action: restart, target: 202j, heal_after_s: 1}}
  - {{at_s: 30, id: upgrade, action: coordinator-restart, heal_after_s: 1}}
  - {{at_s: 40, id: lossy, action: link-loss, target: 202g, loss: 0.05, heal_after_s: 3}}
  - {{at_s: 48, id: slow, action: link-rate, target: 202g, rate_mbit: 6, heal_after_s: 3}}
  - {{at_s: 56, id: parted, action: partition, sites: [south], heal_after_s: 1}}
  - {{at_s: 65, id: full, action: disk-full, target: 202i}}
expect:
  - {{metric: receivers_finished, op: "==", limit: 1}}
  - {{metric: lost, op: "==", limit: 0}}
  - {{metric: reason_given, op: "==", limit: true, fault: full}}
"""


@inside
def test_faults_of_every_kind_are_done_proven_and_healed(hosts: Hosts, tmp_path: Path) -> None:
    file = tmp_path / "all-kinds.yaml"
    file.write_text(KINDS.format(topologies=ROOT / "topologies"))
    played = hosts.run(file, "--out", tmp_path / "out")
    assert played.code == 0, played.said
    found = {fault["id"]: fault for fault in result(tmp_path / "out")["faults"]}
    assert "is stopped" in found["frozen"]["evidence"]
    assert "ended by signal 9" in found["again"]["evidence"]
    assert "left" in found["upgrade"]["evidence"]
    assert "packets were dropped" in found["lossy"]["evidence"]
    assert "by tc on" in found["slow"]["evidence"]
    assert "packets were dropped" in found["parted"]["evidence"]
    assert "has no room" in found["full"]["evidence"]
    assert all(found[name]["healed_s"] for name in ("frozen", "again", "upgrade", "lossy", "slow", "parted"))
    assert hosts.traces() == hosts.before


@inside
def test_the_program_of_a_file_is_used_for_one_run(hosts: Hosts, tmp_path: Path) -> None:
    played = hosts.run(small(tmp_path), "--out", tmp_path / "out", "--no-faults", "--artefact", artefact())
    assert played.code == 1, f"nothing measures queue_overflow there: {played.said}"
    found = result(tmp_path / "out")
    assert {one["metric"]: (one["ok"], one["why"] is None) for one in found["expectations"]} == {
        "lost": (True, True),
        "queue_overflow": (False, False),
    }, played.said
    assert found["versions"]["installed"] == artefact().name
    assert hosts.traces() == hosts.before


@inside
def test_a_rehearsal_goes_through_the_hosts_of_the_inventory(hosts: Hosts, tmp_path: Path) -> None:
    played = hosts.run("--rehearse", 1, "--rehearse-s", 5, "--out", tmp_path / "out")
    assert played.code == 0, played.said
    found = result(tmp_path / "out")
    assert (found["experiment"], len(found["delivery"])) == ("rehearse-live", 13)
    assert hosts.traces() == hosts.before


@inside
def test_what_cannot_be_mapped_is_said_and_nothing_is_left(hosts: Hosts, tmp_path: Path) -> None:
    inventory = hosts.player.inventory
    before = inventory.read_text()
    fewer = yaml.safe_load(before)
    del fewer["all"]["children"]["branch_3"]["hosts"]["west-2"]
    del fewer["all"]["children"]["backups"]
    try:
        inventory.write_text(yaml.safe_dump(fewer))
        played = hosts.run(FIGURE_2A, "--out", tmp_path / "out")
    finally:
        inventory.write_text(before)
    assert played.code == 2, played.said
    lines = [line for line in played.said.splitlines() if line.startswith("overlaycast:")]
    assert any("no host for backup (backup)" in line for line in lines), played.said
    assert any("site west of the experiment has 2 peers" in line for line in lines), played.said
    assert hosts.traces() == hosts.before
