"""What one request makes of the machine's TLS settings: trusted as members trust, and never a traceback."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
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
