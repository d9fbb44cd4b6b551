"""The playbooks without a machine: their style, their pages, and that they make a collection."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from overlaycast import __version__
from tests.deploy.playing import BIN, PLAYBOOKS

ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
BOOKS = ("site.yml", "upgrade.yml", "status.yml", "experiment.yml", "remove.yml", "logs.yml")
APART = {"galaxy.yml", "CHANGELOG.md", "README.md", "meta", "extensions", ".ansible-lint", ".yamllint"}
"""What the collection has, and the package does not need."""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible with a home of its own."""
    environment = os.environ | {"HOME": str(folder), "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        cwd=PLAYBOOKS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read(path: str) -> Any:
    return yaml.safe_load((PLAYBOOKS / path).read_text())


def test_yaml_is_laid_out_in_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "."], cwd=PLAYBOOKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_ansible_lint_finds_nothing_in_its_strictest_profile(tmp_path: Path) -> None:
    done = run(tmp_path, "ansible-lint", "--nocolor", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Profile 'production' was required, and it passed" in done.stdout + done.stderr


@pytest.mark.parametrize("book", BOOKS)
def test_each_playbook_can_be_read_with_the_example(book: str, tmp_path: Path) -> None:
    done = run(tmp_path, "ansible-playbook", "--syntax-check", "-i", "inventory/example/hosts.yml", book)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_has_every_group() -> None:
    children = read("inventory/example/hosts.yml")["all"]["children"]
    assert set(children) == {"coordinator", "sources", "relays", "backups", "peers"}
    assert all(site.startswith("site_") for site in children["peers"]["children"])


def test_numbers_are_the_programs() -> None:
    assert read("galaxy.yml")["version"] == __version__
    assert read("roles/common/defaults/main.yml")["overlaycast_version"] == __version__


def table(role: str) -> str:
    """Return the table of a role's variables as its README shows it."""
    defaults = read(f"roles/{role}/defaults/main.yml") | read("roles/common/defaults/main.yml")
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    rows = []
    for name, option in options.items():
        default = (
            defaults[name]
            if isinstance(defaults[name], str)
            else yaml.safe_dump(defaults[name], default_flow_style=True)
        )
        shown = default.removesuffix("\n").removesuffix("\n...").replace("|", "\\|")
        meaning = option["description"]
        rows.append(f"| `{name}` | {f'`{shown}`' if shown else 'empty'} | {meaning} |")
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_described(role: str) -> None:
    page = (PLAYBOOKS / "roles" / role / "README.md").read_text()
    assert table(role) in page, f"playbooks/roles/{role}/README.md should hold:\n{table(role)}"


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_declared(role: str) -> None:
    declared = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    elsewhere = {f"overlaycast_{one}_groups" for one in ("source", "relay", "peer")}
    assert set(read(f"roles/{role}/defaults/main.yml")) - elsewhere == set(declared) - elsewhere


@pytest.mark.parametrize("role", ROLES)
def test_every_role_names_its_systems(role: str) -> None:
    about = read(f"roles/{role}/meta/main.yml")["galaxy_info"]
    systems = {one["name"]: one["versions"] for one in about["platforms"]}
    assert systems == {"Debian": ["bookworm", "trixie"], "Ubuntu": ["jammy", "noble"]}
    assert about["min_ansible_version"] == "2.14"


def test_the_package_has_all_that_is_played_and_nobodys_own_inventory() -> None:
    tools = tomllib.loads((PLAYBOOKS.parent / "pyproject.toml").read_text())["tool"]
    included = tools["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all(there == f"overlaycast/deploy/{here}" for here, there in included.items())
    assert set(included) == {
        f"playbooks/{path.name}" if path.name != "inventory" else "playbooks/inventory/example"
        for path in PLAYBOOKS.iterdir()
        if path.name not in APART
    }


def test_only_what_comes_with_ansible_is_used() -> None:
    words = {
        line.strip().removeprefix("- ").rstrip(":")
        for path in PLAYBOOKS.rglob("*.yml")
        for line in path.read_text().splitlines()
        if "." in line and line.rstrip().endswith(":") and " " not in line.strip().removeprefix("- ")
    }
    assert {word for word in words if not word.startswith("ansible.builtin.")} == set()


def test_it_is_a_collection_that_can_be_installed(tmp_path: Path) -> None:
    built = run(tmp_path, "ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), ".")
    assert built.returncode == 0, built.stderr
    [file] = tmp_path.glob("overlaycast-overlaycast-*.tar.gz")
    there = tmp_path / "collections"
    done = run(tmp_path, "ansible-galaxy", "collection", "install", "--offline", "-p", str(there), str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    book = tmp_path / "book.yml"
    roles = "".join(f"    - overlaycast.overlaycast.{role}\n" for role in ROLES)
    book.write_text(f"- hosts: all\n  gather_facts: false\n  roles:\n{roles}")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(there)
    try:
        read_ = run(tmp_path, "ansible-playbook", "--syntax-check", "-i", "localhost,", str(book))
    finally:
        del os.environ["ANSIBLE_COLLECTIONS_PATH"]
    assert read_.returncode == 0, read_.stdout + read_.stderr
