"""``overlaycast deploy`` as a user meets it, with the real Ansible and no host that could be changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from overlaycast.cli import main
from overlaycast.deploy.books import artefact, playbook
from overlaycast.deploy.failures import Failure
from overlaycast.deploy.interrupt import Interrupt
from overlaycast.deploy.playing import Play, tell_failures
from overlaycast.errors import ConfigError
from tests.deploy.ending import ended

LOCAL = f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}, ansible_become: false}}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder and a home of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def inventory(folder: Path, text: str) -> str:
    (folder / "hosts.yml").write_text(text)
    return "hosts.yml"


GOOD = (
    f"peers: {{hosts: {{one: {LOCAL}}}, vars: {{overlaycast_disk_mb: 900000000}}}}\ncoordinator: {{hosts: {{one: }}}}\n"
)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("all: {hosts: [oops\n", ["up"], "hosts.yml: line 2: YAML parsing failed: "),
        (f"all: {{hosts: {{one: {LOCAL}}}}}\n", ["status"],
         "hosts.yml: no host is in a group that takes part; accepted: coordinator, sources, relays, backups, peers"),
        (GOOD, ["logs", "two"], "two: hosts.yml has no such host or group"),
        (GOOD, ["up", "--check", "--artefact", "a.tar"],
         "artefact: a.tar: accepted is a file of make dist: overlaycast-VERSION-ARCH.tar"),
        (GOOD, ["up", "--check", "--artefact", "overlaycast-0.2.0-x86_64.tar"],
         "artefact: overlaycast-0.2.0-x86_64.tar: no such file; make dist makes it"),
        (GOOD, ["upgrade", "--check"], "overlaycast deploy upgrade: version: required, or --artefact"),
        (GOOD, ["upgrade", "--check", "--version", "latest"], "overlaycast deploy upgrade: version: "),
        (GOOD, ["down", "--data"],
         "overlaycast deploy down: data: removes recordings for good; accepted with --yes"),
        (GOOD, ["logs", "--unit", "join@news;reboot"], "overlaycast deploy logs: unit.0: accepted is a unit such as"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, words: list[str], said: str
) -> None:
    command, *options = words
    code = main(["deploy", command, inventory(tmp_path, text), *options])
    printed = capfd.readouterr()
    assert code == 2
    assert printed.out == ""
    [line] = [line for line in printed.err.splitlines() if " s  " not in line]
    assert line.removeprefix("overlaycast: ").startswith(said)


def test_a_host_that_is_not_fit_is_told_and_nothing_is_left_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(["deploy", "up", inventory(tmp_path, GOOD), "--check", "--limit", "one"])
    printed = capfd.readouterr()
    assert code == 1
    columns, row, empty, failure = printed.out.splitlines()
    assert columns.split() == ["HOST", "TASKS", "WOULD", "CHANGE", "ENDED"]
    assert row.split()[0] == "one"
    assert row.endswith("failed: Say what is wrong with the host")
    assert empty == ""
    assert failure.startswith("one: Say what is wrong with the host: ")
    assert "MB left; overlaycast_disk_mb asks for 900000000" in failure
    lines = [line.partition(" s  ")[2] for line in printed.err.splitlines()]
    assert lines[0] == "Check every host before any is changed"
    assert lines[-1] == f"! {failure}"
    private = tmp_path / "state" / "overlaycast" / "deploy"
    assert private.stat().st_mode & 0o777 == 0o700
    assert len(list((private / "site").iterdir())) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_ansible_and_what_it_started(tmp_path: Path, number: int, code: int) -> None:
    os.mkfifo(tmp_path / "began")
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/began\nexec cat {tmp_path}/never\n")
    ssh.chmod(0o755)
    os.mkfifo(tmp_path / "never")
    hosts = inventory(
        tmp_path, f"peers: {{hosts: {{one: {{ansible_host: 192.0.2.1, ansible_ssh_executable: {ssh}}}}}}}\n"
    )
    command = [sys.executable, "-m", "overlaycast.cli", "deploy", "status", hosts]
    # a test may be run where SIGINT is ignored; then it would be here, too
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_listen
    ) as process:
        pid = int((tmp_path / "began").read_text())
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert ended(pid), "the connection outlived the command"


def _listen() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


JOURNALCTL = """#!/bin/sh
for word; do case $word in --after-cursor=*) after=${word#--after-cursor=} ;; esac; done
echo "$@" >> "$0.asked"
if [ -z "$after" ]; then echo 'a line' "$(printf '\\033')[2J"; else echo "a line after $after"; fi
echo "-- cursor: s=${after:-0}1"
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journalctl of the test's own; this is where it writes down how it was called."""
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(JOURNALCTL)
    journalctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "journalctl.asked"


def test_lines_of_journals_come_with_their_host(tmp_path: Path, capfd: pytest.CaptureFixture[str], asked: Path) -> None:
    words = ["one", "--unit", "join@news", "--unit", "coordinator", "--since", "10 min ago", "--lines", "3"]
    assert main(["deploy", "logs", inventory(tmp_path, GOOD), *words]) == 0
    assert capfd.readouterr().out == "one  a line ?[2J\n"
    assert asked.read_text().strip() == (
        "--quiet --no-pager --output=short-iso --show-cursor --unit=overlaycast-join@news.service"
        " --unit=overlaycast-coordinator.service --lines=3 --since=10 min ago"
    )


def test_journals_are_followed_from_where_theyended(tmp_path: Path, asked: Path) -> None:
    command = [sys.executable, "-m", "overlaycast.cli", "deploy", "logs", inventory(tmp_path, GOOD), "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=_listen) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 130
    assert lines == ["one  a line ?[2J\n", "one  a line after s=01\n", "one  a line after s=s=011\n"]


def test_a_failed_units_own_last_lines_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], asked: Path
) -> None:
    unit = "overlaycast-join@news.service"
    failures = [Failure("one", "Wait", True, f"{unit} is failed", (unit,)), Failure("two", "Wait", False, "gone")]
    what = Play("site", Path(inventory(tmp_path, GOOD)), words=["--check"])
    with Interrupt() as interrupt:
        tell_failures(what, failures, interrupt)
    assert capfd.readouterr().out == f"\none: Wait: {unit} is failed\n    a line ?[2J\n\ntwo: Wait: gone\n"
    assert f"--unit={unit} --lines=12" in asked.read_text()


def test_the_file_to_install_is_looked_for_in_dist(tmp_path: Path) -> None:
    assert "overlaycast_artefact" not in artefact(None, tmp_path)
    (tmp_path / "dist").mkdir()
    file = tmp_path / "dist" / "overlaycast-0.2.0-aarch64.tar"
    file.touch()
    assert artefact(None, tmp_path) == {"overlaycast_dist": str(tmp_path / "dist")}
    assert artefact(file) == {"overlaycast_artefact": str(file), "overlaycast_version": "0.2.0"}


def test_an_installation_without_playbooks_says_so() -> None:
    assert playbook("site").is_file()
    with pytest.raises(ConfigError, match=r"no other\.yml: this installation lacks its playbooks"):
        playbook("other")
