"""A headless Chromium to open reports in: what it complains about, how it looks in dark and in print."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
START_S = 60.0


class Page:
    """One page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something and return the answer; events that come meanwhile are noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=START_S))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        match event["method"]:
            case "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(event["params"])[:400])
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True

    def open(self, file: Path) -> None:
        """Load a file and wait until it is there."""
        self._loaded = False
        self.call("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._note(json.loads(self._socket.recv(timeout=START_S)))

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def emulate(self, width: int, scheme: str = "light", media: str = "screen", scale: float = 1) -> None:
        """Set how the page is seen."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, to: Path, clip: dict[str, float] | None = None) -> None:
        """Save what the whole page, or a part of it, looks like."""
        more = {"clip": {**clip, "scale": 1}} if clip else {}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, **more)
        to.write_bytes(base64.b64decode(answer["data"]))

    def box(self, selector: str) -> dict[str, float]:
        """Return where an element is."""
        found: dict[str, float] = self.evaluate(
            f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
            " return {x: r.x, y: r.y + scrollY, width: r.width, height: r.height}; })()"
        )
        return found


@contextmanager
def browser() -> Iterator[Page]:
    """Start a Chromium and give one page of it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        words = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(folder)), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(START_S)
            _let_go(Path(folder))


def _address(folder: Path) -> str:
    """Chromium writes its port into its folder, and lists its pages there over HTTP."""
    import urllib.request

    note, deadline = folder / "DevToolsActivePort", time.monotonic() + START_S
    while not note.exists() or len(note.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.05)
    port = note.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        pages = json.load(answer)
    return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))


def _let_go(folder: Path) -> None:
    # its helper processes write for a moment longer than it lives
    for _ in range(1000):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            folder.mkdir()
            return
        time.sleep(0.05)
