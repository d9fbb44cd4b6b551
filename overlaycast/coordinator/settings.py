"""The coordinator's options and bounds, declared once.

Owns: names, defaults, and how ``HOST:PORT`` is read. Refuses: a group's settings; those are ``wire.group``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from overlaycast.settings import Settings

DEFAULT_STATE: Final = Path("~/.local/state/overlaycast")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint that ``HOST:PORT`` or ``[IPv6]:PORT`` names; port 0 is any free one.

    Raises:
        ValueError: neither of those.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("accepted: HOST:PORT or [IPv6]:PORT")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("accepted: HOST:PORT or [IPv6]:PORT, with a port from 0 to 65535")
    return Endpoint(host, int(port))


def _endpoint_text(text: str) -> str:
    parse_endpoint(text)
    return text


class CoordinatorSettings(Settings):
    """The control plane: authenticates, measures, decides, watches. It never carries the stream itself."""

    listen: Annotated[str, AfterValidator(_endpoint_text)] = Field(
        "0.0.0.0:8470", description="HOST:PORT for members and tools"
    )
    state: Path = Field(DEFAULT_STATE, description="folder for the admin token, the groups and the local socket")
    journal: Path | None = Field(None, description="append what happens to this file, as JSON lines")
    trace: bool = Field(True, description="find members' places by traceroute; needs CAP_NET_RAW")
    members_limit: int = Field(10_000, ge=1, le=1_000_000, description="most members of one group")
    groups_limit: int = Field(1000, ge=1, le=100_000, description="most groups")
    measure_at_once: int = Field(32, ge=1, le=1024, description="most members measured at the same time")
    subscribe_timeout_s: float = Field(5.0, gt=0, le=60, description="a new link says who it is within this time")
    unread_limit_kib: int = Field(4096, ge=64, le=1 << 20, description="a member that leaves more unread is cut off")
    messages_per_s: float = Field(50.0, gt=0, le=10_000, description="most messages of one member, on average")

    @property
    def endpoint(self) -> Endpoint:
        """``listen``, read."""
        return parse_endpoint(self.listen)
