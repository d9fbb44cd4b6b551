"""A playbook played through the real ansible-runner, on this host: its events, its end, and what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from overlaycast.deploy import runner
from overlaycast.deploy.events import Event
from overlaycast.deploy.playing import QUESTION
from overlaycast.errors import ConfigError, MissingError
from tests.deploy.ending import ended

SECRET: Final = "h1dden-fr0m-everyone"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    local = f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}"
    path.write_text(f"all: {{hosts: {{one: {local}, two: {local}}}}}\n")
    return path


def play(*tasks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "A play", "hosts": "all", "gather_facts": False, "tasks": list(tasks)}]


def command(name: str, *words: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.command": {"argv": list(words)}, **more}


def test_events_come_in_order_and_nothing_secret_stays(
    tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OVERLAYCAST_TOKEN", "ANSIBLE_BECOME_PASS", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    told: list[Event] = []
    folder = tmp_path / "private"
    outcome = runner.run(
        play(
            command("Say it", "echo", "{{ word }}", changed_when="inventory_hostname == 'one'"),
            command("Hide it", "echo", SECRET[::-1], no_log=True),
            command("Fail", "sh", "-c", "echo last words >&2; exit {{ 3 if inventory_hostname == 'two' else 0 }}"),
        ),
        inventory,
        on_event=told.append,
        extra={"word": "a word"},
        folder=folder,
    )
    assert (outcome.code, outcome.stopped, outcome.good) == (2, False, False)
    assert [(one.kind, one.task) for one in told if not one.host] == [
        ("play", ""), ("task", "Say it"), ("task", "Hide it"), ("task", "Fail"), ("end", ""),
    ]  # fmt: skip
    ends = {(one.host, one.task): one for one in told if one.kind in ("ok", "failed")}
    assert {key: one.kind for key, one in ends.items()} == {
        ("one", "Say it"): "ok", ("two", "Say it"): "ok", ("one", "Hide it"): "ok", ("two", "Hide it"): "ok",
        ("one", "Fail"): "ok", ("two", "Fail"): "failed",
    }  # fmt: skip
    assert {host for (host, task), one in ends.items() if task == "Say it" and one.changed} == {"one"}
    assert [one.result["stdout"] for (_, task), one in ends.items() if task == "Say it"] == ["a word"] * 2
    assert ends["one", "Hide it"].result == {}
    assert ends["two", "Fail"].result["stderr"] == "last words"
    assert told[-1].result["failures"] == {"two": 1}
    known = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"a word" in known
    assert SECRET.encode() not in known
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


SUDO: Final = """#!/bin/sh
while case $1 in -*) ;; *) false ;; esac; do
    case $1 in -p) printf '%s' "$2" >&2 ;; esac
    case $1 in -p | -u) shift ;; esac
    shift
done
read -r word
printf '%s' "$word" | sha256sum > "$0.told"
exec "$@"
"""


def test_a_password_is_told_to_sudo_alone(tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_BECOME_ALLOW_SAME_USER", "1")  # this test may be root's already
    folder = tmp_path / "private"
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    outcome = runner.run(
        play(command("Be root", "true", become=True)),
        inventory,
        on_event=lambda one: None,
        extra={"ansible_become_exe": str(sudo)},
        words=["--ask-become-pass", "--limit", "one"],
        answers={QUESTION: SECRET},
        folder=folder,
    )
    assert outcome.good, outcome.words
    assert (tmp_path / "sudo.told").read_text().split()[0] == hashlib.sha256(SECRET.encode()).hexdigest()
    assert not any(SECRET.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_host_keys_are_checked_and_only_the_newest_artefacts_stay(
    tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    folder = tmp_path / "private"
    for number in range(3):
        (folder / "artifacts" / f"2020010{number}-000000-1-aaaaaa").mkdir(parents=True)
    told: list[Event] = []
    ask = {"name": "Ask", "ansible.builtin.debug": {"msg": "{{ lookup('env', 'ANSIBLE_HOST_KEY_CHECKING') }}"}}
    outcome = runner.run(play(ask), inventory, on_event=told.append, words=["--limit", "one"], folder=folder, keep=2)
    assert outcome.good
    assert [(one.host, one.result["msg"]) for one in told if one.kind == "ok"] == [("one", "True")]
    assert sorted(folder.joinpath("artifacts").iterdir()) == [
        folder / "artifacts" / "20200102-000000-1-aaaaaa",
        outcome.folder,
    ]


def test_it_ends_with_all_its_processes_when_asked(tmp_path: Path, inventory: Path) -> None:
    waits = tmp_path / "waits"
    os.mkfifo(waits)
    wait = f"sh -c 'echo $$ > {tmp_path}/pid-{{{{ inventory_hostname }}}}; exec cat {waits}'"
    pids = [tmp_path / "pid-one", tmp_path / "pid-two"]

    def stop() -> bool:
        return all(pid.exists() and pid.read_text() for pid in pids)

    outcome = runner.run(
        play({"name": "Wait", "ansible.builtin.command": wait}),
        inventory,
        on_event=lambda one: None,
        folder=tmp_path / "private",
        stop=stop,
    )
    assert outcome.stopped
    assert not outcome.good
    assert all(ended(int(file.read_text())) for file in pids), "a command of a host outlived Ansible"


def test_an_inventory_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "none.yml"
    with pytest.raises(ConfigError) as caught:
        runner.run(play(), path, on_event=lambda one: None, folder=tmp_path / "private")
    assert str(caught.value) == f"{path}: no such inventory; accepted is a file or a folder that Ansible can read"


def test_without_ansible_one_line_says_how_to_get_it(
    tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    with pytest.raises(MissingError, match=r"install it with: pip install 'overlaycast\[deploy\]'"):
        runner.run(play(), inventory, on_event=lambda one: None, folder=tmp_path / "private")


def test_nothing_of_it_is_imported_before_it_is_needed() -> None:
    script = "import sys, overlaycast.deploy.runner; sys.exit('ansible_runner' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_a_link_leads_to_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    link = tmp_path / "link"
    link.symlink_to(shared)
    with pytest.raises(ConfigError, match=r"link: others may read where this link leads; accepted is a folder of your"):
        runner._folder(link, "artifacts")
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    assert list(shared.iterdir()) == []
    shared.chmod(0o700)
    assert runner._folder(link, "artifacts") == shared
