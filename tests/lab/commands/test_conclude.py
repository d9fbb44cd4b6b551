"""The exit code of a run is its verdict, whoever reads its tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.made_up import ROOT

RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from overlaycast.errors import exit_code
from overlaycast.lab.commands import conclude as module
from overlaycast.streams import careful_stdout
result = SimpleNamespace(as_json=lambda: {"verdict": sys.argv[1]}, verdict=sys.argv[1])
module.judge = SimpleNamespace(build=lambda recording: result)
module.series = SimpleNamespace(build=lambda recording: result)
module.story = SimpleNamespace(events=lambda recording: [])
module.render = lambda *_: ""
module.terminal = SimpleNamespace(show=lambda result, report, console: console.print(sys.argv[1]))
def run():
    with careful_stdout():
        plan, recording = SimpleNamespace(out=Path(sys.argv[2])), SimpleNamespace(network=None)
        return module.conclude(plan, recording, tables=True, json_output=len(sys.argv) > 3)
sys.exit(exit_code(run))
"""


@pytest.mark.parametrize(("verdict", "code"), [("passed", 0), ("failed", 1)])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_goes_changes_no_verdict(verdict: str, code: int, more: list[str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", RUN, verdict, str(tmp_path), *more]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        program.stdout.close()
        assert program.stderr is not None
        err = program.stderr.read().decode()
        assert program.wait(timeout=60) == code
    assert "Traceback" not in err
    assert json.loads((tmp_path / "result.json").read_text()) == {"verdict": verdict}
