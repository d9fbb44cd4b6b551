"""What is sent: a real video made by ffmpeg, bytes from a seed, or a file that is there.

Owns: making each once, under a name that says what it is. Invariants: the same name holds the same stream; a file
appears under its name only when it is whole, so that two runs at once do not disturb each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from overlaycast.errors import ConfigError, LabError, MissingError
from overlaycast.lab.experiment.experiment import MediaStream, Stream, SyntheticStream
from overlaycast.lab.recording.recording import FileSeen
from overlaycast.lab.run.writable import writable

PORTION: Final = 1 << 20
FOLDER: Final = "media"
PROBE_S: Final = 60.0
_QUANTIZER: Final = 28
_NOISE_BYTES: Final = 0.59
"""What one pixel of noise needs in a key frame, at that quantizer."""
CLIP: Final = MediaStream(kind="media")
"""The clip that set-up makes: 30 s at 8 Mbit/s."""


def prepared(stream: Stream, seed: int, experiment: Path, say: Callable[[str], None]) -> Path:
    """Return the file to send; make it if it is not there yet, and say so.

    Raises:
        ConfigError: a named file is not there, or one that is made cannot be written.
        MissingError: ffmpeg is not there.
    """
    if isinstance(stream, MediaStream):
        kind = "clip" if stream.bitrate == "constant" else f"clip-{stream.bitrate}"
        return _made(
            f"{kind}-{stream.rate_mbit:g}M-{stream.seconds:g}s.ts", experiment, say, lambda to: _clip(stream, to)
        )
    if isinstance(stream, SyntheticStream):
        size = round(stream.seconds * stream.rate_mbit * 125_000)
    elif stream.path is not None:
        file = experiment.parent / stream.path
        if not file.is_file():
            raise ConfigError(f"{experiment}: stream.path: no such file: {file}")
        return file
    else:
        size = round(stream.size_mib * (1 << 20))
    return _made(f"bytes-{size}-seed{seed}.bin", experiment, say, lambda to: _bytes(size, seed, to))


def _made(name: str, experiment: Path, say: Callable[[str], None], make: Callable[[Path], None]) -> Path:
    here, beside = Path.cwd() / FOLDER, experiment.resolve().parent.parent / FOLDER
    for folder in (here, beside):
        if (folder / name).is_file():
            return folder / name
    folder = writable(beside if beside.is_dir() else here, "media")
    say(f"making {folder.name}/{name}")
    unfinished = folder / f".{name}.{os.getpid()}"
    try:
        make(unfinished)
        unfinished.replace(folder / name)
    finally:
        unfinished.unlink(missing_ok=True)
    return folder / name


def _clip(stream: MediaStream, to: Path) -> None:
    """Encode a picture and a tone into a transport stream.

    Constant: a moving test picture, padded to the rate. Variable: a picture of noise that stands still, no padding: all
    is in the key frame of each second, and the picture is as large as the rate wants it.
    """
    if shutil.which("ffmpeg") is None:
        raise MissingError("the lab's video needs ffmpeg; install it with: apt-get install ffmpeg")
    picture = f"{stream.rate_mbit * 0.9:g}M"
    words = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    if stream.bitrate == "constant":
        words += ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25"]
        rate = ["-b:v", picture, "-minrate", picture, "-maxrate", picture, "-bufsize", f"{stream.rate_mbit * 0.2:g}M"]
        rate += ["-x264-params", "nal-hrd=cbr:force-cfr=1", "-muxrate", f"{stream.rate_mbit:g}M"]
    else:
        words += ["-f", "lavfi", "-i", f"color=gray:{_size(stream.rate_mbit)}:rate=25,noise=alls=60:all_seed=1:allf=u"]
        rate = ["-qp", str(_QUANTIZER)]
    words += ["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000"]
    words += ["-t", f"{stream.seconds:g}", "-map", "0:v", "-map", "1:a"]
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-threads", "1"]
    words += [*rate, "-c:a", "aac", "-b:a", "128k"]
    words += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    words += ["-f", "mpegts", str(to)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise LabError(f"ffmpeg could not make {to.name}: {lines[-1] if lines else 'it gave no reason'}")


def _size(rate_mbit: float) -> str:
    """Return the size of a 16:9 picture of noise whose key frame is a second's worth, sound and headers aside."""
    pixels = 0.9 * rate_mbit * 125_000 / _NOISE_BYTES
    height = max(2, round((pixels * 9 / 16) ** 0.5 / 2) * 2)
    return f"size={round(height * 8 / 9) * 2}x{height}"


def _bytes(size: int, seed: int, to: Path) -> None:
    source = random.Random(seed)
    with to.open("wb") as file:
        while size > 0:
            portion = source.randbytes(min(size, PORTION))
            file.write(portion)
            size -= len(portion)


def look_at(file: Path, media: bool) -> FileSeen:
    """Return what a file holds; with ``media`` also what ffprobe counts in it. A missing file is an empty one."""
    digest, size = hashlib.sha256(), 0
    try:
        with file.open("rb") as opened:
            while portion := opened.read(PORTION):
                digest.update(portion)
                size += len(portion)
    except FileNotFoundError:
        return FileSeen(0, digest.hexdigest())
    return FileSeen(size, digest.hexdigest(), _streams(file) if media else None)


def fits(received: Path, sent: Path) -> bool:
    """Return whether a file is what was sent, or its end, or, if it is longer, its beginning and then all of it."""
    try:
        size, whole = received.stat().st_size, sent.stat().st_size
    except FileNotFoundError:
        return False
    before = max(0, size - whole)
    if size == 0 or before > whole:
        return False
    return _same(received, 0, sent, 0, before) and _same(received, before, sent, whole - (size - before), size - before)


def _same(a: Path, a_from: int, b: Path, b_from: int, size: int) -> bool:
    with a.open("rb") as one, b.open("rb") as other:
        one.seek(a_from)
        other.seek(b_from)
        while size > 0:
            portion = min(size, PORTION)
            if one.read(portion) != other.read(portion):
                return False
            size -= portion
    return True


def _streams(file: Path) -> tuple[tuple[str, int], ...] | None:
    if shutil.which("ffprobe") is None:
        raise MissingError("the lab's look at a received video needs ffprobe; install it with: apt-get install ffmpeg")
    words = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets"]
    words += ["-of", "json", str(file)]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, check=False)
        streams = json.loads(done.stdout)["streams"]
        return tuple((str(one["codec_name"]), int(one["nb_read_packets"])) for one in streams)
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None
