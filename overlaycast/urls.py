"""Where a coordinator is reached, as a user writes it: one parser for every command.

Owns: ``http://HOST:PORT``, ``https://HOST:PORT`` and ``unix:FILE``, and the one line that says what is accepted.
Refuses: to connect, and to guess: a path, a password or a query in the address would be ignored, so it is an error.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from overlaycast.named_files import at_home

MEMBER: Final = "accepted is http://HOST:PORT or https://HOST:PORT"
ADMIN: Final = f"{MEMBER}, or unix:FILE"
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class CoordinatorUrl:
    """A coordinator's address; ``file`` is set for a Unix socket, and the rest for TCP.

    ``host`` has neither brackets nor, unless it is a link-local IPv6 address, a scope.
    """

    secure: bool = False
    host: str = ""
    port: int = 0
    file: Path | None = None

    @property
    def authority(self) -> str:
        """Return ``HOST:PORT`` as it stands in a URL."""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_link_local(self) -> bool:
        """Is it an address that means something on one link only?"""
        try:
            return ipaddress.ip_address(self.host).is_link_local
        except ValueError:
            return False


def parse_coordinator(text: str, accepted: str = ADMIN) -> CoordinatorUrl:
    """Return what an address means.

    Args:
        text: as the user wrote it.
        accepted: what an error says instead.

    Raises:
        ValueError: it means nothing, or something that we would ignore. One line, without the password that a user may
            have written.
    """
    if text.startswith("unix:") and accepted == ADMIN:
        return CoordinatorUrl(file=_socket(text.removeprefix("unix:"), accepted))
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(accepted) from None
    if scheme in _PORTS and (extra := _extra(parts)):
        raise ValueError(f"{accepted}, without {extra}")
    # urlsplit drops line ends and tabs without a word
    if scheme not in _PORTS or port == 0 or not text.isprintable() or " " in text or not _is_host(host, parts.netloc):
        raise ValueError(accepted)
    return CoordinatorUrl(scheme == "https", _plain(host), _PORTS[scheme] if port is None else port)


def _socket(name: str, accepted: str) -> Path:
    try:
        if name:
            return at_home(Path(name))
    except OSError:
        pass
    raise ValueError(accepted)


def _extra(parts: SplitResult) -> str:
    if "@" in parts.netloc:
        return "a user name"
    if parts.path not in ("", "/"):
        return "a path"
    return "a query" if parts.query or parts.fragment else ""


def _plain(host: str) -> str:
    """Return an address without the URL's way to write a per cent sign (RFC 6874)."""
    return host.replace("%25", "%", 1)


def _is_host(host: str, netloc: str) -> bool:
    """Is it an IP address, in brackets if it has colons, or a name as in RFC 1123 (or its international form)?"""
    if ":" in host:
        try:
            return netloc.startswith("[") and ipaddress.ip_address(_plain(host)).version == 6
        except ValueError:
            return False
    try:
        return is_host_name(host.encode("idna").decode())
    except UnicodeError:
        return False


def is_host_name(text: str) -> bool:
    """Return whether this is a name as in RFC 1123, or one with an underscore, which hosts in the wild have."""
    name = text.removesuffix(".")
    return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))
