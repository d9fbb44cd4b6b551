"""The units under real systemd: when they are ready, who may what, when they are started again and when not.

A coordinator and a source on one machine, a peer behind a router on another one. The tests are one story, in the order
in which they stand here.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.versions import artefact
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ADMIN: Final = "--coordinator=unix:/var/lib/overlaycast/admin.sock --admin-token-file=/var/lib/overlaycast/admin.token"
PATIENCE_S: Final = 120
JOIN: Final = "overlaycast-join@news"
NET_RAW: Final = 1 << 13
"""capabilities(7)"""


def until(fact: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    """Wait for what only another machine knows."""
    end = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.2)


class Hosts:
    """Both machines, with the program and the units in place as docs/install.md says."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.address = build(["server"], {"berlin": ["peer"]})
        for name, address in self.address.items():
            machines.boot(name, address, name)
        machines.wait()
        for name in self.address:
            shutil.copy(artefact(), machines.of[name].root / "root" / "overlaycast.tar")
            steps = (
                "tar -C /root -xf /root/overlaycast.tar && /root/overlaycast-*/install >/dev/null",
                "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin overlaycast",
                "install -d -m 755 /etc/overlaycast",
                "cp /opt/overlaycast/current/lib/python*/*/overlaycast/deploy/units/* /etc/systemd/system/",
                "systemctl daemon-reload",
            )
            machines.run(name, " && ".join(steps), seconds=300)

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of a machine."""
        file = self.machines.of[name].root / path.lstrip("/")
        file.touch(mode)
        file.write_text(text)

    def shows(self, name: str, unit: str) -> dict[str, str]:
        """Return what systemd knows of a unit."""
        return dict(line.split("=", 1) for line in self.machines.run(name, f"systemctl show '{unit}'").splitlines())

    def waits_for(self, name: str, unit: str, **wanted: str) -> dict[str, str]:
        """Wait until systemd says this of a unit."""
        until(
            lambda: wanted.items() <= self.shows(name, unit).items(),
            lambda: self.machines.run(name, f"systemctl status '{unit}'; journalctl -u '{unit}'", check=False),
        )
        return self.shows(name, unit)

    def privileges(self, name: str, pid: str) -> tuple[set[str], set[int]]:
        """Return the users, and what is in all sets of capabilities but the bounding one, of a process's threads."""
        lines = self.machines.run(name, f"cat /proc/{pid}/task/*/status").splitlines()
        fields = [line.split(":", 1) for line in lines]
        users = {value.split()[0] for key, value in fields if key == "Uid"}
        sets = {int(value, 16) for key, value in fields if key in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        return users, sets

    def members(self) -> dict[str, Any]:
        """Return the seats of the group's tree, by name."""
        said = self.machines.run("server", f"overlaycast group tree news --json {ADMIN}")
        return {seat["name"]: seat for seat in json.loads(said)["members"]}


@pytest.fixture(scope="module")
def hosts(machines: Machines | None) -> Iterator[Hosts | None]:
    """The machines, which stay until the last test of this file; none outside of its namespaces."""
    if not is_isolated():
        yield None
        return
    assert machines is not None
    yield Hosts(machines)


@inside
def test_the_coordinator_is_ready_when_it_listens(hosts: Hosts) -> None:
    hosts.write("server", "/etc/overlaycast/coordinator.toml", '[coordinator]\nlisten = "0.0.0.0:8470"\n')
    hosts.machines.run("server", "systemctl start overlaycast-coordinator")
    token = hosts.machines.run("server", f"overlaycast group create news --set rate_mbit=2 {ADMIN}").strip()
    for name, tables in (
        ("server", "[send]\nsynthetic = 36000\nrate = '1M'\n"),
        ("peer", "[join]\noutput = 'news.ts'\n"),
    ):
        where = f"coordinator = 'http://{hosts.address['server']}:8470'\nadvertise = '{hosts.address[name]}'\n"
        hosts.write(name, "/etc/overlaycast/news.toml", f"{tables}{where}name = '{name}'\n")
        hosts.write(name, "/etc/overlaycast/news.token", f"{token}\n", 0o600)


@inside
def test_only_the_tracing_process_has_a_capability(hosts: Hosts) -> None:
    coordinator = hosts.shows("server", "overlaycast-coordinator")["MainPID"]
    tracing = hosts.machines.run("server", "systemctl list-units --plain --no-legend 'overlaycast-trace@*'").split()[0]
    its_users, its_sets = hosts.privileges("server", hosts.shows("server", tracing)["MainPID"])
    users, sets = hosts.privileges("server", coordinator)
    assert sets == {0}
    assert its_sets == {NET_RAW}
    assert not users & its_users
    assert "0" not in users | its_users
    assert hosts.machines.run("server", f"pgrep --count --parent {coordinator}", check=False).strip() == "0"


@inside
def test_a_peer_is_ready_only_once_it_is_fed(hosts: Hosts) -> None:
    hosts.machines.run("peer", f"systemctl start --no-block {JOIN}")
    until(lambda: "peer" in hosts.members(), hosts.members)
    assert hosts.shows("peer", JOIN)["ActiveState"] == "activating"
    hosts.machines.run("server", "systemctl start overlaycast-send@news")
    shows = hosts.waits_for("peer", JOIN, ActiveState="active")
    assert shows["StatusText"].startswith("fed by ")


@inside
def test_the_route_to_a_peer_was_traced(hosts: Hosts) -> None:
    """Its site is the router before it, which only a trace finds."""
    until(lambda: hosts.members()["peer"]["site"] == "10.1.255.2", hosts.members)


@inside
def test_tracing_that_ends_begins_again(hosts: Hosts) -> None:
    units = "systemctl list-units --plain --no-legend 'overlaycast-trace@*'"
    first = hosts.machines.run("server", units).split()[0]
    hosts.machines.run(
        "server", f"systemctl kill --signal=KILL '{first}'; systemctl --quiet is-active overlaycast-coordinator"
    )
    hosts.machines.run("peer", f"systemctl restart --no-block {JOIN}")
    until(lambda: hosts.machines.run("server", units).split()[:1] not in ([], [first]), hosts.members)
    hosts.waits_for("peer", JOIN, ActiveState="active")


@inside
def test_a_member_that_hangs_is_started_again(hosts: Hosts) -> None:
    before = hosts.shows("peer", JOIN)
    hosts.machines.run("peer", f"kill -STOP {before['MainPID']}")
    until(lambda: hosts.shows("peer", JOIN)["NRestarts"] != before["NRestarts"], lambda: hosts.shows("peer", JOIN))
    after = hosts.waits_for("peer", JOIN, ActiveState="active")
    assert after["MainPID"] != before["MainPID"]
    assert "watchdog" in hosts.machines.run("peer", f"journalctl -u {JOIN}").lower()


@inside
@pytest.mark.parametrize(
    ("group", "settings", "token", "code"),
    [("bad", "[join]\nno_such_option = 1\n", "x", "2"), ("strange", None, "not-the-token", "2")],
)
def test_what_a_restart_cannot_mend_is_left(
    hosts: Hosts, group: str, settings: str | None, token: str, code: str
) -> None:
    good = (hosts.machines.of["peer"].root / "etc/overlaycast/news.toml").read_text()
    hosts.write("peer", f"/etc/overlaycast/{group}.toml", settings or good.replace("news.ts", f"{group}.ts"))
    hosts.write("peer", f"/etc/overlaycast/{group}.token", f"{token}\n", 0o600)
    unit = f"overlaycast-join@{group}"
    hosts.machines.run("peer", f"systemctl start {unit}", check=False)
    shows = hosts.waits_for("peer", unit, ActiveState="failed")
    assert (shows["ExecMainStatus"], shows["NRestarts"]) == (code, "0")


@inside
def test_the_coordinator_takes_new_bounds_without_a_restart(hosts: Hosts) -> None:
    unit, before = "overlaycast-coordinator", hosts.shows("server", "overlaycast-coordinator")
    text = (hosts.machines.of["server"].root / "etc/overlaycast/coordinator.toml").read_text()
    hosts.write("server", "/etc/overlaycast/coordinator.toml", f"{text}groups_limit = 1\n")
    hosts.machines.run("server", f"systemctl reload {unit}")
    until(
        lambda: "groups_limit is 1 now" in hosts.machines.run("server", f"journalctl -u {unit}"),
        lambda: hosts.machines.run("server", f"journalctl -u {unit}"),
    )
    told = hosts.machines.run("server", f"overlaycast group create more {ADMIN} 2>&1", check=False)
    assert "accepted: up to 1" in told
    assert hosts.shows("server", unit)["MainPID"] == before["MainPID"]


@inside
def test_what_failed_for_another_reason_is_started_again(hosts: Hosts) -> None:
    before = hosts.shows("server", "overlaycast-coordinator")
    hosts.machines.run("server", f"kill -KILL {before['MainPID']}")
    until(
        lambda: int(hosts.shows("server", "overlaycast-coordinator")["NRestarts"]) > int(before["NRestarts"]),
        lambda: hosts.shows("server", "overlaycast-coordinator"),
    )
    hosts.waits_for("server", "overlaycast-coordinator", ActiveState="active")
    assert hosts.shows("peer", JOIN)["ActiveState"] == "active"


@inside
def test_tracing_goes_with_the_coordinator(hosts: Hosts) -> None:
    hosts.machines.run("server", "systemctl stop overlaycast-send@news overlaycast-coordinator")
    listed = "systemctl list-units --plain --no-legend 'overlaycast-trace*'"
    until(lambda: hosts.machines.run("server", listed) == "", lambda: hosts.machines.run("server", listed))
    assert hosts.machines.run("server", "ls /run/overlaycast-trace.sock", check=False) == ""
