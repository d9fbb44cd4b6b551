"""Tokens: which are accepted, from where, and that none stays where others see it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from overlaycast.agent.options import JoinOptions, NodeOptions, RelayOptions, SendOptions
from overlaycast.cli import main
from overlaycast.errors import ConfigError
from overlaycast.hiding import without_token
from overlaycast.settings import load
from overlaycast.tokens import parse_token, read_token
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Resume, Subscribe, Welcome
from overlaycast.wire.views import CreatedView

WHERE = ["g", "--coordinator", "http://127.0.0.1:9"]
MEMBERS = pytest.mark.parametrize("model", [SendOptions, JoinOptions, RelayOptions])


def token(model: type[NodeOptions], *words: str) -> str:
    return load(model, [*WHERE, *words], "overlaycast x").token


@pytest.mark.parametrize("text", ["", "a\r", "a\n", "a b", "\x00", "\x1b[2J", "é", "a" * 257])
def test_what_no_header_and_no_line_can_carry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted is one word"):
        parse_token(text)


@MEMBERS
@pytest.mark.parametrize("text", ["secret\r", "secret\n", "secret word", "secret" * 50])
def test_a_member_refuses_it_at_the_start_without_repeating_it(model: type[NodeOptions], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        token(model, "--token", text)
    assert str(caught.value).startswith("overlaycast x: token: ")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@MEMBERS
def test_a_token_may_begin_with_a_dash(model: type[NodeOptions]) -> None:
    assert token(model, "--token", "-Zk_9") == "-Zk_9"


@MEMBERS
def test_a_file_may_hold_it(model: type[NodeOptions], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"kJ0\r\n")
    assert token(model, "--token-file", str(file)) == "kJ0"


@pytest.mark.parametrize("content", [b"", b"secret word\n", b"secret\nword\n", b"secret\xff"])
def test_a_file_that_holds_none_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_token(file, "token-file")
    assert str(caught.value).startswith(f"token-file: {file}: accepted is a file with one token, one word")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("file", "why"), [("nothing", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, file: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        token(JoinOptions, "--token-file", str(tmp_path / file))


def test_the_stronger_source_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("from-file")
    with pytest.raises(ConfigError, match="either --token or --token-file"):
        token(JoinOptions, "--token", "flag", "--token-file", str(file))
    monkeypatch.setenv("OVERLAYCAST_TOKEN", "env")
    assert token(JoinOptions, "--token-file", str(file)) == "from-file"
    monkeypatch.delenv("OVERLAYCAST_TOKEN")
    monkeypatch.setenv("OVERLAYCAST_TOKEN_FILE", str(file))
    assert token(JoinOptions) == "from-file"
    assert token(JoinOptions, "--token", "flag") == "flag"
    toml = tmp_path / "overlaycast.toml"
    toml.write_text('[x]\ntoken = "toml"\n')
    assert token(JoinOptions, "--config", str(toml)) == "from-file"


@pytest.mark.parametrize(
    ("words", "kept", "found"),
    [
        ("join g --token t --output x", "join g --output x", "t"),
        ("send --token=-t g", "send g", "-t"),
        ("relay g --token", "relay g --token", None),
        ("send g -- --token t", "send g -- --token t", None),
        ("send g --token t -- --token x", "send g -- --token x", "t"),
        ("join g --token -- x", "join g --token -- x", None),
        ("join g --token t --token-file f", "join g --token t --token-file f", None),
        ("group create g --token-ttl 5", "group create g --token-ttl 5", None),
        ("", "", None),
    ],
)
def test_a_token_is_taken_out_of_the_words(words: str, kept: str, found: str | None) -> None:
    assert without_token(words.split()) == (kept.split(), found)


def test_a_running_member_does_not_show_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERLAYCAST_TOKEN_FILE", os.devnull)  # weaker than the flag
    words = [sys.executable, "-m", "overlaycast.cli", "join", *WHERE, "--token", "-secret", "--output", os.devnull]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as member:
        try:
            assert member.stderr is not None
            assert "not reachable" in member.stderr.readline()
            shown = Path(f"/proc/{member.pid}/cmdline").read_bytes()
        finally:
            member.terminate()
    assert b"secret" not in shown
    assert shown.split(b"\0")[1:4] == [b"-m", b"overlaycast.cli", b"join"]


def test_it_is_hidden_before_anything_else_is_imported() -> None:
    """What is shown until then is shown for as short a time as Python itself allows."""
    code = (
        "import os, sys; before = {*sys.modules}\n"
        "os.execv = lambda *what: (print(what[1][-3:], *sorted({*sys.modules} - before)), sys.exit())\n"
        "sys.orig_argv = sys.argv = ['overlaycast', 'join', 'g', '--token', 't', '--output', 'x']\n"
        "from overlaycast.start import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    kept, _, imported = ran.stdout.partition("] ")
    assert kept == "['g', '--output', 'x'"
    assert imported.split() == ["__future__", "overlaycast", "overlaycast.hiding", "overlaycast.start"]


def test_the_installed_command_begins_there() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"overlaycast": "overlaycast.start:main"}


TOKEN = "kJ0b-Qm3xYz_81uVtWsR4nPaLdEfGhIj"
ADMIN = TOKEN + TOKEN


@pytest.mark.parametrize("token", [TOKEN, ADMIN, "-" + TOKEN[1:], "_" + TOKEN[1:]])
@pytest.mark.parametrize(
    "words",
    [
        "join g --tokn {}",
        "join --tokn {} g",
        "join --tokn {}",
        "join g -token {}",
        "join g --tokn={}",
        "join g --tok {}",
        "join g --tok={}",
        "join g {}",
        "join {}",
        "join g --token-file {}",
        "send g {}",
        "send g {} film",
        "relay g {}",
        "relay g --rate {}",
        "send g film --rate {}",
        "join g --listen {}",
        "join g --coordinator {}",
        "group create {} x",
        "group create g --set {}",
        "group show g --admin-token {} --coordinator http://127.0.0.1:9",
        "coordinator --listen {}",
        "{}",
        "group {}",
        "lab {}",
        "trace --x {}",
    ],
)
def test_no_error_repeats_a_token_wherever_it_was_typed(
    words: str, token: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERLAYCAST_TOKEN", "t")
    if not any(word in words for word in ("--coordinator", "group", "lab", "trace", "coordinator")) and " " in words:
        words += " --coordinator http://127.0.0.1:x"  # whatever else is right, nothing is started
    assert main([word.format(token) for word in words.split()]) == 2
    said = capsys.readouterr()
    assert token not in said.out + said.err
    assert token.strip("-_") not in said.out + said.err
    [line] = said.err.splitlines()
    assert line.startswith("overlaycast")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("g --tokn secret", "unrecognized arguments: --tokn …;"),
        ("g extra", "unrecognized arguments: extra;"),
        ("g nightly-backup-of-the-archive-2024", "unrecognized arguments: nightly-backup-of-the-archive-2024;"),
        ("g -x --speed 3", "unrecognized arguments: -x --speed …;"),
    ],
)
def test_what_is_wrong_is_named_all_the_same(words: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(JoinOptions, words.split(), "overlaycast join")


def test_secrets_are_in_no_repr() -> None:
    resume = Resume(member=1, secret=TOKEN, epoch=1, rank=1, next_seq=0)
    request = Subscribe(version=2, group="g", token=TOKEN, name="a", addresses=(), resume=resume)
    welcome = Welcome(member=1, secret=TOKEN, settings=GroupSettings())
    options = load(JoinOptions, [*WHERE, "--token", TOKEN], "overlaycast join")
    for one in (request, welcome, options, CreatedView(name="g", token=TOKEN)):
        assert TOKEN not in repr(one)
        assert TOKEN not in str(one)
