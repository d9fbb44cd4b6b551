"""The units that systemd runs: it understands them, they are shut in as the page says, programs know their words."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from overlaycast.agent.options import JoinOptions, NodeOptions, RelayOptions, SendOptions
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.discovery.command import TraceSettings
from overlaycast.settings import Settings, load

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "overlaycast" / "deploy" / "units"
PAGE = (ROOT / "docs" / "install.md").read_text()
MODELS: dict[str, type[Settings]] = {
    "overlaycast-coordinator.service": CoordinatorSettings,
    "overlaycast-join@.service": JoinOptions,
    "overlaycast-relay@.service": RelayOptions,
    "overlaycast-send@.service": SendOptions,
}
TRACE = "overlaycast-trace@.service"
SOCKET = "overlaycast-trace.socket"
SERVICES = [*MODELS, TRACE]
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze (Debian package systemd)")


def analyze(*words: str | Path) -> str:
    """Return what systemd-analyze says; it has to be content."""
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def setting(unit: str, name: str) -> list[str]:
    """Return the values of a setting in a unit, in order."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def test_these_are_the_units() -> None:
    assert {path.name for path in UNITS.iterdir()} == {*SERVICES, SOCKET}


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_systemd_understands_it(unit: str, tmp_path: Path) -> None:
    """But for the program, which is not installed here where systemd looks for it."""
    copy = tmp_path / unit
    copy.write_text((UNITS / unit).read_text().replace("ExecStart=overlaycast ", "ExecStart=/bin/true "))
    (tmp_path / SOCKET).write_text((UNITS / SOCKET).read_text())
    assert analyze("verify", "--man=no", copy) == ""


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_it_is_shut_in_as_the_page_says(unit: str) -> None:
    """Other releases of systemd weigh a little differently: better is fine, and a tenth worse too."""
    said = re.search(rf"^\| `{re.escape(unit)}` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert said, f"docs/install.md should have a row for {unit}"
    analyze("security", "--offline=true", f"--threshold={round(10 * float(said[1])) + 1}", UNITS / unit)


@pytest.mark.parametrize(("unit", "model"), MODELS.items())
def test_its_words_are_options_of_the_program(unit: str, model: type[Settings], tmp_path: Path) -> None:
    """Group, files and folders come from systemd; a table of the TOML file gives the rest."""
    [line] = setting(unit, "ExecStart")
    command, config, token = line.split()[1], tmp_path / "g.toml", tmp_path / "token"
    config.write_text(
        '[join]\ncoordinator = "http://c:1"\n[relay]\ncoordinator = "http://c:1"\nbackup = true\n'
        '[send]\ncoordinator = "http://c:1"\nfile = "a.ts"\n[coordinator]\n'
    )
    token.write_text("secret\n")
    line = re.sub(r"/etc/overlaycast/\S+\.toml", str(config), line)
    line = line.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)).replace("${STATE_DIRECTORY}", str(tmp_path))
    settings = load(model, shlex.split(line.replace("%i", "g"))[2:], f"overlaycast {command}")
    if isinstance(settings, NodeOptions):
        assert (settings.group, settings.token, settings.coordinator) == ("g", "secret", "http://c:1")


@pytest.mark.parametrize("unit", MODELS)
def test_no_secret_is_among_its_words_or_in_its_environment(unit: str) -> None:
    assert "--token-file" in setting(unit, "ExecStart")[0] or unit == "overlaycast-coordinator.service"
    assert not [line for line in setting(unit, "Environment") if "TOKEN" in line]


@pytest.mark.parametrize("unit", MODELS)
def test_it_is_started_again_unless_that_cannot_help(unit: str) -> None:
    assert setting(unit, "RestartPreventExitStatus") == ["2 3"]
    assert setting(unit, "StartLimitIntervalSec") == ["0"]
    assert setting(unit, "Type") == ["notify"]
    assert setting(unit, "WatchdogSec") == ["30"]


@pytest.mark.parametrize("unit", SERVICES)
def test_only_what_traces_routes_has_a_capability(unit: str) -> None:
    one = ["CAP_NET_RAW"] if unit == TRACE else [""]
    assert setting(unit, "CapabilityBoundingSet") == one
    assert setting(unit, "AmbientCapabilities") == (one if one != [""] else [])


def test_the_coordinator_asks_for_routes_where_they_are_traced() -> None:
    assert setting(TRACE, "ExecStart") == ["overlaycast trace -"]
    assert load(TraceSettings, ["-"], "overlaycast trace").host == "-"
    [path] = setting(SOCKET, "ListenStream")
    unit = "overlaycast-coordinator.service"
    assert f"--trace-socket {path}" in setting(unit, "ExecStart")[0]
    assert SOCKET in setting(unit, "Wants")[0]
    assert SOCKET in setting(unit, "After")[0]
    assert setting(SOCKET, "SocketUser") == setting(unit, "User")


def test_what_a_peer_says_is_in_the_journal_and_the_stream_is_not() -> None:
    """Unless told otherwise, systemd sends the one where the other goes."""
    assert setting("overlaycast-join@.service", "StandardOutput") == ["null"]
    assert setting("overlaycast-join@.service", "StandardError") == ["journal"]


def test_the_members_are_shut_in_alike() -> None:
    """From the limits on, their units are the same."""
    members = [(UNITS / unit).read_text().split("WatchdogSec=")[1] for unit in MODELS if "@" in unit]
    assert len(set(members)) == 1
