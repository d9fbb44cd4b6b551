"""One request to a coordinator's HTTP API, for ``overlaycast group``.

Owns: where the coordinator is, the admin token, and what is said of an answer that is none of ours. Refuses: what is
asked, and what is printed of the answer.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError

from overlaycast.errors import ConfigError
from overlaycast.settings import Settings
from overlaycast.streams import printable
from overlaycast.tokens import read_token
from overlaycast.urls import parse_coordinator
from overlaycast.wire.group import GroupSettings

_V = TypeVar("_V", bound=BaseModel)

_TIMEOUT_S: Final = 10.0
_MOST: Final = 256 << 20
"""Bytes of an answer: the tree of the largest group has less."""


class AdminSettings(Settings):
    """Groups of a coordinator."""

    coordinator: str = Field(
        "http://127.0.0.1:8470",
        description="http://HOST:PORT, or unix:FILE for the Unix socket in the coordinator's state folder",
    )
    admin_token_file: Path = Field(
        Path("~/.local/state/overlaycast/admin.token"),
        description="file with the admin token, written by the coordinator at its first start",
    )
    json_output: bool = Field(False, alias="json", description="print the coordinator's answer as JSON")


class SaidNoError(ConfigError):
    """The coordinator has understood, and says no; ``status`` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status: Final = status


def ask(
    settings: AdminSettings, model: type[_V], method: str, path: str, body: dict[str, Any] | None = None
) -> _V | None:
    """Return the coordinator's answer; with ``--json`` print it as it came, and return None."""
    said = request(settings, method, path, body)
    answer = view(model, said)
    if settings.json_output:
        print(json.dumps(said))
        return None
    return answer


def view(model: type[_V], said: dict[str, Any]) -> _V:
    """Return an answer as ``model``.

    Raises:
        ConfigError: it is none.
    """
    try:
        return model.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"coordinator: an answer of another version: {where}: {first['msg']}") from None


def request(settings: AdminSettings, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what the coordinator answers.

    Raises:
        SaidNoError: a refusal.
        ConfigError: it is not reached, is none, or does not accept the token.
    """
    token = read_token(settings.admin_token_file, "admin-token-file")
    base, transport = reach(settings.coordinator)
    try:
        # the system's certificates, or those of SSL_CERT_FILE: what members trust too
        trusted = ssl.create_default_context()
        with (
            httpx.Client(
                base_url=base, transport=transport, verify=trusted, timeout=_TIMEOUT_S, trust_env=False
            ) as http,
            http.stream(method, path, json=body, headers={"Authorization": f"Bearer {token}"}) as answer,
        ):
            said = json.loads(_bounded(answer))
    except (httpx.InvalidURL, UnicodeError):
        raise ConfigError(f"coordinator: {settings.coordinator!r}: accepted: http://HOST:PORT or unix:FILE") from None
    except (httpx.HTTPError, OSError) as error:  # OSError: the file that SSLKEYLOGFILE names cannot be written
        reason = str(error) or type(error).__name__
        raise ConfigError(f"coordinator: {settings.coordinator}: not reachable: {reason}") from None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ConfigError(f"coordinator: {settings.coordinator}: this is no overlaycast coordinator")
    if answer.status_code == 401:
        raise ConfigError(f"admin-token-file: {settings.admin_token_file}: the coordinator does not accept this token")
    if answer.is_error:
        text = said.get("error", said)
        if answer.status_code == 405:
            text = "an older version, which cannot do this"
        raise SaidNoError(answer.status_code, f"coordinator: {printable(str(text)):.1000}")
    return said


def _bounded(answer: httpx.Response) -> bytes:
    """Return an answer's body.

    Raises:
        ValueError: it has no end in sight.
    """
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > _MOST:
            raise ValueError(f"more than {_MOST} bytes")
    return bytes(body)


def creation(name: str, settings: GroupSettings, token_ttl_s: float | None) -> dict[str, Any]:
    """Return the body that asks for a new group; only the settings that are given go into it."""
    body: dict[str, Any] = {"name": name, "settings": settings.model_dump(exclude_unset=True)}
    return body if token_ttl_s is None else body | {"token_ttl_s": token_ttl_s}


def reach(coordinator: str) -> tuple[str, httpx.HTTPTransport | None]:
    """Return the base of URLs, and what carries requests there if it is a Unix socket.

    Raises:
        ConfigError: it is no coordinator's address.
    """
    try:
        url = parse_coordinator(coordinator)
    except ValueError as error:
        raise ConfigError(f"coordinator: {error}") from None
    if url.file is not None:
        return "http://coordinator", httpx.HTTPTransport(uds=str(url.file))
    as_it_stands = url.authority.replace("%25", "%", 1)  # httpx looks up a scope as it is written
    return f"{'https' if url.secure else 'http'}://{as_it_stands}", None
