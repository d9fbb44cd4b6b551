"""What users name on the command line by mistake: one line that says what is accepted, never a traceback or a hang."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaycast.admin.token_files import TokenFiles
from overlaycast.admin.upkeep import DrainSettings
from overlaycast.agent.ends.media import open_input
from overlaycast.agent.hops.sockets import open_data_port
from overlaycast.agent.options import JoinOptions
from overlaycast.coordinator.bounds.settings import CoordinatorSettings
from overlaycast.coordinator.state.folder import open_folder
from overlaycast.coordinator.web.listeners import listen_local
from overlaycast.deploy.command import DeploySettings
from overlaycast.document import placed_yaml
from overlaycast.errors import ConfigError
from overlaycast.lab.commands.run_plans import RunSettings
from overlaycast.lab.topology.graphml import read_graphml
from overlaycast.named_files import LIMIT
from overlaycast.settings import Settings, load, parse_endpoint
from overlaycast.tokens import read_token, shown
from overlaycast.urls import parse_coordinator

ENDLESS = Path("/dev/zero")
NOBODY = "~there-is-no-such-user/x"
WHERE = ["--coordinator", "http://127.0.0.1:9", "--token", "t"]


def refused(call: Callable[[], object]) -> str:
    """Return the one line that a call ends with."""
    with pytest.raises((ConfigError, ValueError)) as caught:
        call()
    line = str(caught.value)
    assert line.isprintable(), line
    return line


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: read_token(ENDLESS, "token-file"), f"token-file: /dev/zero: larger than {LIMIT} bytes"),
        (lambda: placed_yaml.read(ENDLESS), f"/dev/zero: larger than {LIMIT} bytes"),
        (lambda: read_graphml(ENDLESS), "/dev/zero: larger than"),
        (
            lambda: load(JoinOptions, ["g", *WHERE, "--config", "/dev/zero"], "overlaycast join"),
            "config: /dev/zero: la",
        ),
        (lambda: open_folder(Path("/dev/null/x")), "state: /dev/null/x: Not a directory"),
    ],
)
def test_no_file_is_read_without_a_bound(call: Callable[[], object], line: str) -> None:
    assert refused(call).startswith(line)


@pytest.mark.parametrize(
    "call",
    [
        lambda: read_token(Path(NOBODY), "token-file"),
        lambda: parse_coordinator(f"unix:{NOBODY}"),
        lambda: open_folder(Path(NOBODY)),
        lambda: TokenFiles(Path(NOBODY), overwrite=False),
    ],
)
def test_a_home_folder_that_nobody_has(call: Callable[[], object]) -> None:
    assert "accepted is http" in (line := refused(call)) or "no such user or home folder" in line


@pytest.mark.parametrize(
    ("model", "words", "option"),
    [
        (JoinOptions, ["g", *WHERE, "--journal", ""], "journal"),
        (JoinOptions, ["g", "--coordinator", "http://127.0.0.1:9", "--token-file", ""], "token-file"),
        (CoordinatorSettings, ["--state", ""], "state"),
        (RunSettings, ["x.yaml", "--out", ""], "out"),
        (RunSettings, ["x.yaml", ""], "experiments"),
        (DeploySettings, [""], "inventory"),
    ],
)
def test_an_unset_variable_is_no_path(model: type[Settings], words: list[str], option: str) -> None:
    assert f"{option}: accepted is the name of a file or folder" in refused(lambda: load(model, words, "overlaycast x"))


def test_an_unset_variable_is_no_socket_and_no_input() -> None:
    assert "unix:FILE" in refused(lambda: parse_coordinator("unix:"))
    assert refused(lambda: open_input("", 1316)) == "file: accepted is a name, or - for standard input"


@pytest.mark.parametrize("port", ["9" * 5000, "٣", "", "-1", "65536", "+1", "1_0"])
def test_a_port_is_up_to_five_digits(port: str) -> None:
    assert refused(lambda: parse_endpoint(f"127.0.0.1:{port}")).startswith("accepted is HOST:PORT")


def test_a_host_that_is_no_text() -> None:
    with pytest.raises(ConfigError, match="not a host name"):
        open_data_port("a\udcff:0")


@pytest.mark.parametrize("member", ["", "../x", "a\x1b[31m", "\udcff", "a b"])
def test_a_member_that_none_can_be(member: str) -> None:
    assert ": member: " in refused(lambda: load(DrainSettings, ["g", member], "overlaycast group drain"))


@pytest.mark.parametrize("content", [b"x = " + b"[" * 20_000, b"x = " + b"9" * 5000, b"\xff\xfe", b"x = '\x1b[31m"])
def test_settings_that_are_no_toml(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    line = refused(lambda: load(JoinOptions, ["g", *WHERE, "--config", str(file)], "overlaycast join"))
    assert line.startswith(f"config: {file}: not TOML: ")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a: " + "[" * 1000 + "]" * 1000,
        "? " * 300,
        "- " * 300,
        "a: 2026-13-45",
        "a: !!int zz",
        "a: !!float zz",
        "a: !!bool zz",
        "a: " + "9" * 5000,
        r'a: "\U99999999"',
        "a: !!timestamp '2026-99-99'",
    ],
)
def test_documents_that_are_no_yaml_for_us(text: str) -> None:
    assert refused(lambda: placed_yaml.parse(text, Path("x.yaml"))).startswith("x.yaml")


def test_an_admin_token_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_bytes(os.urandom(8) + b"\xff")
    assert "not an admin token" in refused(lambda: open_folder(tmp_path))


def test_a_folder_where_the_local_socket_goes(tmp_path: Path) -> None:
    (tmp_path / "admin.sock").mkdir()
    assert refused(lambda: listen_local(tmp_path / "admin.sock")).endswith("Is a directory")


def test_what_steers_a_terminal_is_not_repeated() -> None:
    assert shown("a\nb\x1b[31m\udcff") == "a?b?[31m?"
