"""A topology is a program of a user's: whatever it raises is one line that names the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from overlaycast.cli import main
from overlaycast.errors import ConfigError
from overlaycast.lab.topology.loading import load_topology

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
