"""Standard streams that are closed, full, stopped or never read: what a user of Unix tools expects."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaycast.streams import _MOST

OVERLAYCAST = [sys.executable, "-m", "overlaycast.cli"]
SAY = (
    "import sys, os\n"
    "from overlaycast.streams import patient_stderr\n"
    "with patient_stderr():\n"
    "    for n in range(int(sys.argv[1])):\n"
    "        print('line', n, file=sys.stderr)\n"
    "    print('done', flush=True)\n"
)


def shell(line: str, words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its streams as a shell sets them."""
    command = line.format(oc=f"{sys.executable} -m overlaycast.cli {words}")
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("{oc} >/dev/full", 1, "overlaycast: standard output: No space left on device\n"),
        ("{oc} >&-", 1, "overlaycast: standard output: Bad file descriptor\n"),
        ("{oc} >/dev/null", 0, ""),
        ("{oc} </dev/null >&1 2>&-", 0, ""),
        ("{oc} 0<&- 1>&- 2>&-", 1, ""),
        ("set -o pipefail; {oc} | true", 0, ""),
    ],
)
@pytest.mark.parametrize("words", ["--help", "group --help", "lab schema", "lab list"])
def test_output_that_goes_nowhere(words: str, line: str, code: int, err: str) -> None:
    ended = shell(line, words)
    assert (ended.returncode, ended.stderr) == (code, err)


def test_an_error_does_not_go_to_standard_output_where_standard_error_is_closed() -> None:
    ended = shell("{oc} 2>&-", "nosuch")
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_closed_stream_is_not_taken_by_a_file_or_socket(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    code = (
        "from overlaycast.streams import reserve\nimport os, sys\nreserve()\n"
        f"fd = os.open({str(file)!r}, os.O_WRONLY | os.O_CREAT)\nprint('a word', file=sys.stderr)\nassert fd > 2, fd\n"
    )
    subprocess.run(["bash", "-c", f'exec {sys.executable} -c "$0" 0<&- 1>&- 2>&-', code], check=True, timeout=60)
    assert file.read_bytes() == b""


def blocked_pipe() -> tuple[int, Callable[[], None]]:
    """Return the full end of a pipe without a reader."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    return write, lambda: os.close(read)


def stopped_terminal() -> tuple[int, Callable[[], None]]:
    """Return a terminal in which nothing is read."""
    master, slave = pty.openpty()
    return slave, lambda: os.close(master)


@pytest.mark.parametrize("stream", [blocked_pipe, stopped_terminal])
def test_standard_error_without_a_reader(stream: Callable[[], tuple[int, Callable[[], None]]]) -> None:
    err, close = stream()
    with subprocess.Popen([sys.executable, "-c", SAY, str(20 * _MOST)], stdout=subprocess.PIPE, stderr=err) as program:
        os.close(err)
        assert program.stdout is not None
        assert program.stdout.readline() == b"done\n"
        assert program.wait(timeout=30) == 0
    close()


def test_all_that_fits_is_written_in_order() -> None:
    ended = subprocess.run([sys.executable, "-c", SAY, "300"], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr.splitlines() == [f"line {n}" for n in range(300)]


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2>/dev/null"])
def test_standard_error_that_takes_nothing_ends_nothing(stderr: str) -> None:
    line = f'exec {sys.executable} -c "$0" 300 {stderr}'
    ended = subprocess.run(["bash", "-c", line, SAY], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "done\n"
