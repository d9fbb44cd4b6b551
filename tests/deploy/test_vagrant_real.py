"""What Vagrant has its machines run, on machines that start quicker than virtual ones: the scripts, and no Vagrant."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from overlaycast import __version__
from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.base_tree import ROOT, base_tree
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.versions import artefact
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SCRIPTS: Final = ROOT / "scripts"
RANGE: Final = "192.0.2.0/24"
"""Reached through the gateway of the machine's network, for the test."""


def lab_tree() -> Path:
    """Return a Debian that has what the lab needs: a machine of these tests reaches no package index."""
    command = [str(SCRIPTS / "setup"), "--list"]
    return base_tree(
        more=subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    )


@pytest.fixture(scope="module")
def up(machines: Machines | None) -> Iterator[Machines | None]:
    """A lab, and a host of a site."""
    if not is_isolated():
        lab_tree()
        artefact(extra="lab")
        yield None
        return
    assert machines is not None
    addresses = build(["host", "lab"])
    machines.boot("host", addresses["host"], "host")
    machines.boot("lab", addresses["lab"], "lab", lab_tree())
    for name, script in (("host", "site"), ("lab", "lab")):
        shutil.copy(SCRIPTS / "vagrant" / script, machines.of[name].root / "root")
    machines.wait()
    yield machines


def bring(machines: Machines) -> None:
    """Bring to the lab what Vagrant's file provisioners do. What a container has in /tmp is not in its files."""
    place = machines.of["lab"].root / "root" / "brought"
    place.mkdir(exist_ok=True)
    shutil.copy(artefact(extra="lab"), place / "lab.tar")
    shutil.copy(SCRIPTS / "setup", place / "setup")
    for folder in ("experiments", "topologies"):
        shutil.copytree(ROOT / folder, place.parent / folder, dirs_exist_ok=True)
    machines.run("lab", "mkdir -p /tmp/overlaycast && cp /root/brought/* /tmp/overlaycast")


@inside
def test_a_host_reaches_other_sites_through_the_router(up: Machines) -> None:
    for _ in range(2):
        up.run("host", f"bash /root/site host {RANGE} 10.0.1.1")
        assert f"{RANGE} via 10.0.1.1" in up.run("host", "ip route")
    up.run("host", f"ip route delete {RANGE}; systemctl restart site-route")
    assert f"{RANGE} via 10.0.1.1" in up.run("host", "ip route")
    assert up.run("host", "systemctl is-enabled site-route") == "enabled\n"


@inside
def test_a_router_forwards_also_after_its_next_start(up: Machines) -> None:
    up.run("host", "sysctl --write net.ipv4.ip_forward=0; bash /root/site router")
    assert up.run("host", "sysctl --values net.ipv4.ip_forward") == "1\n"
    assert up.run("host", "cat /etc/sysctl.d/90-site-router.conf") == "net.ipv4.ip_forward=1\n"


@inside
def test_the_lab_has_its_testbed(up: Machines) -> None:
    for said in ("install: made /opt/overlaycast", "is there already"):
        bring(up)
        told = up.run("lab", "bash /root/lab", seconds=300)
        assert said in told
        assert told.endswith(f"overlaycast {__version__}\n")
    assert up.run("lab", "ls /tmp/overlaycast", check=False) == ""
    assert up.run("lab", "cat /etc/modules-load.d/overlaycast.conf") == "sch_netem\nsch_tbf\n"


@inside
def test_the_lab_reads_its_experiments(up: Machines) -> None:
    told = up.run("lab", "cd /root && overlaycast lab check experiments/figure-2a.yaml 2>&1", check=False)
    assert "Traceback" not in told
    assert "figure-2a" in told
    up.run("lab", "/opt/overlaycast/current/bin/python -c 'import mininet.net, networkx, junitparser, jinja2'")
