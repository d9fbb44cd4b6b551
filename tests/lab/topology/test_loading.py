"""A topology is a program of a user's: whatever it raises is one line that names the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from overlaycast.cli import main
from overlaycast.errors import ConfigError
from overlaycast.lab.topology import apart
from overlaycast.lab.topology.loading import load_topology
from tests.lab.made_up import ROOT

NO_WORDS = "class E(Exception):\n    def __str__(self): raise RuntimeError\n"


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("raise BaseException('x')", "BaseException: x"),
        ("raise GeneratorExit", "GeneratorExit: "),
        (NO_WORDS + "raise E()", "E: (it has no words)"),
        (r"raise ValueError('a\nb\x1b[31mred')", "ValueError: a b?[31mred"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
    ],
)
def test_what_a_file_raises_is_one_line(tmp_path: Path, code: str, line: str, within: bool) -> None:
    file = tmp_path / "t.py"
    if within:
        code = "def make():\n" + "".join(f"    {one}\n" for one in code.split("\n")) + "topos = {'x': make}\n"
    file.write_text(code)
    with pytest.raises(ConfigError) as caught:
        load_topology(file, None)
    assert str(caught.value) == f"{file}: {chr(39).join(('topos[', 'x', ']: ')) if within else ''}{line}"


def test_ctrl_c_within_a_file_is_ctrl_c(tmp_path: Path) -> None:
    file = tmp_path / "t.py"
    file.write_text("raise KeyboardInterrupt")
    assert main(["lab", "show", str(file)]) == 130


def test_a_file_that_closes_standard_output(tmp_path: Path) -> None:
    code = "import sys; from overlaycast.cli import main; sys.exit(main(['lab', 'show', sys.argv[1]]))"
    file = tmp_path / "t.py"
    file.write_text("import sys; sys.stdout.close()")
    ended = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"overlaycast: {file}: topos is missing")


GOOD = """
from overlaycast.lab.topology.routedtopo import RoutedTopo

class Two(RoutedTopo):
    def build(self):
        self.router("r")
        for name in ("a", "b"):
            self.host(name)
            self.link(name, "r", delay_ms=1)

topos = {"t": Two}
"""


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import os; os._exit(0)", "ended the process that read it (exit code 0), and made no topology"),
        ("import os; os._exit(7)", "ended the process that read it (exit code 7), and made no topology"),
        ("import os; os.kill(os.getpid(), 9)", "the process that read it was killed (signal 9), and made no topology"),
        ("import os; os.closerange(3, 99); os._exit(0)", "ended the process that read it (exit code 0), and made no"),
        (
            "import os; os.closerange(3, 99); raise ValueError",
            "ended the process that read it (exit code 1), and made no",
        ),
        ("x = []\nwhile True: x.append(bytes(1 << 24))", "MemoryError: a topology file may take 2 GiB"),
    ],
)
@pytest.mark.parametrize("command", ["check", "show"])
def test_what_ends_the_reader_is_one_line_and_ends_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, line: str, command: str
) -> None:
    file, experiment = tmp_path / "t.py", tmp_path / "e.yaml"
    file.write_text(code)
    text = (ROOT / "experiments" / "figure-2a.yaml").read_text()
    experiment.write_text(text.replace("../topologies/figure_2a.py", "t.py"))
    assert main(["lab", command, str(experiment if command == "check" else file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [one for one in said if f"{file}: {line}" in one]


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time; time.sleep(3600)", "while True:\n try: x\n except: 1"]
)
def test_one_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    monkeypatch.setattr(apart, "LIMIT_S", 0.3)
    monkeypatch.setattr(apart, "TOLD_AFTER_S", 0.1)
    file = tmp_path / "t.py"
    file.write_text(code)
    with pytest.raises(ConfigError) as caught:
        load_topology(file)
    assert (
        str(caught.value)
        == f"{file}: is not done after 0.3 s, and is given up; a topology file only says what there is"
    )
    assert capsys.readouterr().err == f"overlaycast: {file}: is still being read; it is given up after 0.3 s\n"


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """Also where the file itself takes no notice of it."""
    file = tmp_path / "t.py"
    file.write_text("import sys\nprint('here', flush=True)\nwhile True:\n    try:\n        x = 1\n    except: pass")
    code = "import sys; from overlaycast.cli import main; sys.exit(main(['lab', 'show', sys.argv[1]]))"
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout.read() == "", "its reader lives, and holds the pipe open"


def test_what_it_prints_and_starts_is_its_own_matter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.py"
    start = "import os, time\nprint('said')\nchild = os.fork()\nif not child: time.sleep(3600)\n"
    file.write_text(start + f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child))\n" + GOOD)
    try:
        assert load_topology(file).name == "t"
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert capfd.readouterr().out == "said\n"


def test_words_and_numbers_of_kinds_of_its_own_are_plain_afterwards(tmp_path: Path) -> None:
    kinds = (
        "from enum import StrEnum\nclass Name(StrEnum):\n    r = 'r'\nclass Ms(float): pass\nclass Rate(int): pass\n"
    )
    file = tmp_path / "t.py"
    code = GOOD.replace('self.router("r")', "self.router(Name.r)").replace(
        "delay_ms=1", "delay_ms=Ms(1), rate_mbit=Rate(5)"
    )
    file.write_text(kinds + code)
    topology = load_topology(file)
    assert type(topology.nodes[0].name) is str
    assert (type(topology.links[0].ab.delay_ms), topology.links[0].ab.delay_ms) == (float, 1.0)


def test_what_cannot_be_handed_over_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "t.py"
    notes = "import dataclasses\nclass Noted(Two):\n    def topology(self, name='t'):\n"
    notes += "        return dataclasses.replace(super().topology(name), notes=(lambda: 1,))\ntopos = {'t': Noted}\n"
    file.write_text(GOOD + notes)
    with pytest.raises(ConfigError) as caught:
        load_topology(file)
    assert str(caught.value).startswith(f"{file}: what it has made cannot be handed over (")
