"""The Vagrantfile as Ruby reads it, and the scripts that its machines run. Real machines: test_vagrant_real.py."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("vagrant_stub.rb")
RANGE = ip_network("192.168.56.0/21")
"""What VirtualBox allows for networks of its own."""
SCRIPTS = ("make-box", "vagrant/lab", "vagrant/site", "setup")
needs_ruby = pytest.mark.skipif(not shutil.which("ruby"), reason="needs ruby; install it with: scripts/setup --tests")
needs_vagrant = pytest.mark.skipif(not shutil.which("vagrant"), reason="needs vagrant (Debian package vagrant)")


def ruby(**environ: str) -> subprocess.CompletedProcess[str]:
    """Read the Vagrantfile without Vagrant."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OVERLAYCAST_")}
    command = ["ruby", "-w", str(STUB), str(ROOT / "Vagrantfile")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=kept | environ)


def read(**environ: str) -> Any:
    """Return what the Vagrantfile says."""
    done = ruby(**environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "warnings of Ruby"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def said() -> Any:
    return read()["vm"]


@pytest.fixture(scope="module")
def machines(said: Any) -> dict[str, Any]:
    return {machine["name"]: machine for machine in said["define"]}


def address(machine: Any) -> str:
    [network] = machine["vm"]["network"]
    return str(network["ip"])


@needs_ruby
def test_a_plain_up_brings_the_lab_alone(machines: dict[str, Any]) -> None:
    assert [name for name, machine in machines.items() if machine["options"].get("autostart", True)] == ["lab"]
    assert all(name.startswith("site-") for name in machines if name != "lab")


@needs_ruby
def test_the_sites_are_on_networks_that_only_the_router_connects(machines: dict[str, Any]) -> None:
    hosts = {name: address(machine) for name, machine in machines.items() if name not in ("lab", "site-router")}
    router = [network["ip"] for network in machines["site-router"]["vm"]["network"]]
    every = [*hosts.values(), *router]
    assert len(hosts) == 7
    assert len(set(every)) == len(every)
    assert all(ip_address(one) in RANGE for one in every)
    assert not [one for one in every if one.endswith((".0", ".1", ".255"))], "not a host, or this computer's own"
    behind = {one.rpartition(".")[0] for one in hosts.values()}
    assert behind == {one.rpartition(".")[0] for one in router}
    for name, own in hosts.items():
        [route] = [one["options"] for one in machines[name]["vm"]["provision"] if one["name"] == "route"]
        assert route["args"][:2] == ["host", str(RANGE)]
        assert route["args"][2] in router
        assert route["args"][2].rpartition(".")[0] == own.rpartition(".")[0]


@needs_ruby
def test_ansible_runs_once_when_all_are_there(said: Any, machines: dict[str, Any]) -> None:
    found = [(name, one) for name, machine in machines.items() for one in machine["vm"]["provision"]]
    [(name, ansible)] = [(name, one) for name, one in found if one["name"] == "ansible"]
    assert name == list(machines)[-1]
    assert ansible["config"]["limit"] == "all"
    for key in ("playbook", "config_file"):
        assert (ROOT / ansible["config"][key]).is_file()


@needs_ruby
def test_the_inventory_is_one_that_the_roles_take(machines: dict[str, Any]) -> None:
    config = machines[list(machines)[-1]]["vm"]["provision"][-1]["config"]
    groups = dict(config["groups"])
    variables = groups.pop("all:vars")
    assert groups.pop("peers:children") == ["site_a", "site_b"]
    assert set(groups) == {"coordinator", "sources", "backups", "site_a", "site_b"}
    named = [host for hosts in groups.values() for host in hosts]
    assert sorted(named) == sorted(set(machines) - {"lab", "site-router"})
    assert {name: its["overlaycast_address"] for name, its in config["host_vars"].items()} == {
        name: address(machines[name]) for name in named
    }
    known: set[str] = set()
    for defaults in (ROOT / "playbooks" / "roles").glob("*/defaults/main.yml"):
        known |= set(yaml.safe_load(defaults.read_text()))
    assert set(variables) | {"overlaycast_address"} <= known
    # Ansible reads values of such an inventory as Python writes them
    assert ast.literal_eval(variables["overlaycast_groups"])["news"]["settings"]["start_members"] == len(
        groups["site_a"] + groups["site_b"]
    )


@needs_ruby
def test_what_it_brings_to_a_machine_is_there(machines: dict[str, Any]) -> None:
    made = set()
    for machine in machines.values():
        for trigger in machine["trigger"].get("before", []):
            shell, option, script = shlex.split(trigger["run"]["inline"])
            assert (shell, option, trigger["on_error"]) == ("sh", "-c", "halt")
            made.add(script.split()[2])
        for one in machine["vm"]["provision"]:
            source = one["options"].get("path") or one["options"].get("source")
            assert one["name"] == "ansible" or source in made or (ROOT / source).exists()
    assert all(file.startswith("dist/overlaycast-") for file in made)
    assert len(made) == 2


@needs_ruby
def test_no_folder_is_shared(said: Any) -> None:
    assert said["synced_folder"] == [[".", "/vagrant", {"disabled": True}]]


@needs_ruby
def test_the_environment_says_how_large_a_machine_is() -> None:
    for provider in ("libvirt", "virtualbox"):
        machines = read(OVERLAYCAST_VM_MEMORY_MB="3000", OVERLAYCAST_VM_CPUS="3")["vm"]["define"]
        sizes = [one["vm"]["provider"][provider] for one in machines]
        assert {(one["memory"], one["cpus"]) for one in sizes} == {(3000, 3)}


@needs_ruby
def test_the_environment_says_which_box() -> None:
    vm = read(OVERLAYCAST_VM_BOX="mine", OVERLAYCAST_VM_BOX_URL="file:///mine.box", OVERLAYCAST_VM_DRIVER="qemu")["vm"]
    assert (vm["box"], vm["box_url"]) == ("mine", "file:///mine.box")
    assert vm["provider"]["libvirt"]["driver"] == "qemu"
    assert "box" not in vm["override"]["libvirt"]


@needs_ruby
@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("OVERLAYCAST_VM_MEMORY_MB", "2G", "accepted is a whole number, 256 or more (got '2G')"),
        ("OVERLAYCAST_VM_CPUS", "0", "accepted is a whole number, 1 or more (got '0')"),
        ("OVERLAYCAST_VM_DRIVER", "xen", "accepted are kvm and qemu (got 'xen')"),
    ],
)
def test_bad_input_is_one_line(name: str, value: str, accepted: str) -> None:
    done = ruby(**{name: value})
    assert done.returncode == 1
    assert done.stderr == f"{name}: {accepted}\n"


@needs_vagrant
def test_vagrant_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    for part in ("Vagrantfile", "pyproject.toml", "scripts", "playbooks", "experiments", "topologies"):
        (tmp_path / part).symlink_to(ROOT / part)
    [lab] = [one for one in read()["vm"]["define"] if one["name"] == "lab"]
    [artefact] = [one["options"]["source"] for one in lab["vm"]["provision"] if one["name"] == "artefact"]
    (tmp_path / artefact).parent.mkdir()
    (tmp_path / artefact).touch()
    environ = os.environ | {"VAGRANT_CWD": str(tmp_path), "VAGRANT_HOME": str(tmp_path / "home")}
    words = ["vagrant", "validate", "--ignore-provider"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shell_can_read_the_scripts(script: str) -> None:
    path = ROOT / "scripts" / script
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--disk-gb", "2"], "--disk-gb: accepted is a whole number from 4 to 9999 (got '2')"),
        (["--release", "../x"], "--release: '../x' is no name of a Debian release; accepted is one such as bookworm"),
        (["--out"], "--out: accepted is a value behind it; see --help"),
        (["bookworm"], "no option 'bookworm'; accepted: --release, --out, --disk-gb"),
    ],
)
def test_a_box_of_nonsense_is_not_begun(words: list[str], said: str) -> None:
    command = [str(ROOT / "scripts" / "make-box"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (2, f"make-box: {said}\n")


def test_a_part_that_no_machine_has_is_refused() -> None:
    command = [str(ROOT / "scripts" / "vagrant" / "site"), "bridge"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (2, "site: accepted are: router, host RANGE ROUTER\n")
