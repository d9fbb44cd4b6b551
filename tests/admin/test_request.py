"""What one request makes of the machine's TLS settings: trusted as members trust, and never a traceback."""

from __future__ import annotations

import http.server
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from overlaycast.admin.request import AdminSettings, request
from overlaycast.errors import ConfigError


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with an admin token."""
    file = tmp_path / "admin.token"
    file.write_text("x" * 32)
    file.chmod(0o600)
    return file


class _NoGroups(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"groups": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that only its own file vouches for; its key beside it."""
    file = tmp_path / "server.crt"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=coordinator"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run([*words.split(), *more], check=True, capture_output=True)
    return file


@pytest.fixture
def secure_port(certificate: Path) -> Iterator[int]:
    """A server of this certificate that answers with no groups."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NoGroups)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """A function that starts a server whose every answer has one body, and returns its port."""
    servers = []

    def start(body: bytes) -> int:
        class Answer(_NoGroups):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "body", [b"[]", b"7", b"[" * 100_000, b"9" * 5000, b"\xff\xfe", b"<h1>It works</h1>", b" " * 3000]
)
def test_an_answer_that_is_none_of_ours_is_one_line(
    token: Path, answering: Callable[[bytes], int], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.admin.request._MOST", 200_000)
    url = f"http://127.0.0.1:{answering(body)}"
    with pytest.raises(ConfigError, match=rf"^coordinator: {re.escape(url)}: this is no overlaycast coordinator$"):
        request(AdminSettings(coordinator=url, admin_token_file=token), "GET", "/v1/groups")


def test_an_answer_without_end_is_not_taken_in(
    token: Path, answering: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaycast.admin.request._MOST", 200_000)
    url = f"http://127.0.0.1:{answering(b'{}' + b' ' * 300_000)}"
    with pytest.raises(ConfigError, match=r"this is no overlaycast coordinator$"):
        request(AdminSettings(coordinator=url, admin_token_file=token), "GET", "/v1/groups")


def test_a_key_log_that_cannot_be_written_is_one_line(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    settings = AdminSettings(coordinator="http://127.0.0.1:9", admin_token_file=token)
    with pytest.raises(ConfigError, match="/nowhere/keys"):
        request(settings, "GET", "/v1/groups")


def test_a_private_authority_is_trusted_where_the_environment_names_it(
    token: Path, certificate: Path, secure_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AdminSettings(coordinator=f"https://127.0.0.1:{secure_port}", admin_token_file=token)
    with pytest.raises(ConfigError, match="CERTIFICATE_VERIFY_FAILED"):
        request(settings, "GET", "/v1/groups")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert request(settings, "GET", "/v1/groups") == {"groups": []}
