"""Man pages and completion say what the programs say, and are taken by the programs that read them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from overlaycast.agent.options import JoinOptions
from overlaycast.cli import COMMANDS
from scripts.release.commands import Described, Option, overlaycast
from scripts.release.completion import bash, zsh
from scripts.release.manual import pages

PROGRAM = overlaycast()
PAGES = pages(PROGRAM, 1_700_000_000)


def options() -> Iterator[tuple[Described, Option]]:
    for command in PROGRAM.all():
        for option in command.options:
            yield command, option


def test_every_command_has_a_page_and_no_option_is_missing() -> None:
    assert set(PAGES) == {"overlaycast.1", *(f"overlaycast-{name}.1" for name in COMMANDS)}
    join = next(command for command in PROGRAM.commands if command.words[-1] == "join")
    flags = {option.flags[0] for option in join.options if option.flags} - {"--config"}
    fields = {f"--{name.replace('_', '-')}" for name in JoinOptions.model_fields if name != "group"}
    assert flags == fields
    for command, option in options():
        page = PAGES[f"{'-'.join(command.words[:2])}.1"]
        for word in option.flags or (option.value or "",):
            assert word.replace("-", "\\-") in page, (command.words, word)
    assert len(list(options())) > 100


@pytest.mark.parametrize("name", PAGES)
def test_man_reads_it_without_a_warning(name: str, tmp_path: Path) -> None:
    man = shutil.which("man")
    if man is None or not shutil.which("groff"):
        pytest.skip("needs man and groff (Debian packages man-db and groff)")
    (tmp_path / name).write_text(PAGES[name])
    environ = {"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80", "PATH": os.environ["PATH"]}
    command = [man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environ)
    assert done.stderr == ""
    assert done.stdout


def offered(folder: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of these words."""
    (folder / "completion").write_text(bash(PROGRAM))
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _overlaycast; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", script, "bash", str(folder / "completion"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=folder)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("",), list(COMMANDS)),
        (("re",), ["relay"]),
        (("group", "cr"), ["create"]),
        (("join", "news", "--start"), ["--start-back"]),
        (("join", "--output", "rec"), ["recording.ts"]),
        (("lab", "run", "--system", "uni"), ["unicast"]),
        (("lab", "run", "rec"), ["recording.ts"]),
        (("join", "--name", ""), []),
        (("no-such-command", "--x"), []),
    ],
)
def test_bash_offers(tmp_path: Path, words: tuple[str, ...], wanted: list[str]) -> None:
    (tmp_path / "recording.ts").touch()
    assert offered(tmp_path, "overlaycast", *words) == wanted


def test_zsh_takes_it(tmp_path: Path) -> None:
    text = zsh(PROGRAM)
    for command, option in options():
        name = "_".join(command.words)
        assert f"_{name}() {{" in text
        for flag in option.flags:
            assert f"'{flag}[" in text
    if not shutil.which("zsh"):
        pytest.skip("needs zsh to read it")
    (tmp_path / "_overlaycast").write_text(text)
    subprocess.run(["zsh", "-n", str(tmp_path / "_overlaycast")], check=True, timeout=60)
