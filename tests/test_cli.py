"""The entry point: every command exists, and every error is one line with its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from overlaycast import __version__
from overlaycast.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists_and_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main([command, "--help"])
    except SystemExit as stopped:  # argparse leaves that way
        code = stopped.code
    assert code == 0
    assert f"usage: overlaycast {command}" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"overlaycast {__version__}\n"


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("overlaycast: no command 'dance'; accepted: coordinator, ")
    assert error.count("\n") == 1


def test_an_agent_imports_nothing_heavy() -> None:
    code = "import sys; import overlaycast.agent.command; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert loaded.isdisjoint({"fastapi", "scapy", "networkx", "mininet", "httpx", "rich"})


def test_a_package_of_the_testbed_that_is_not_installed_is_one_line() -> None:
    without = "import sys; sys.modules['networkx'] = None"
    code = f"{without}; from overlaycast.cli import main; sys.exit(main(['lab', 'list']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "overlaycast lab: networkx is not installed; pip install '.[lab]' installs it\n"
