"""The coordinator's options and bounds, declared once.

Owns: names and defaults. Refuses: a group's settings; those are ``wire.group``.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from overlaycast.settings import ENDPOINT, Endpoint, EndpointText, Settings, parse_endpoint
from overlaycast.wire.hosts import is_loopback

MEMBERS_AT_ONE_ADDRESS: Final = 500
DEFAULT_STATE: Final = Path("~/.local/state/overlaycast")


def _with_host(text: EndpointText) -> EndpointText:
    if not parse_endpoint(text).host:
        raise ValueError(ENDPOINT)
    return text


def _is_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("accepted: an IP address, or a network such as 192.0.2.0/24") from None


TrustedProxy = Annotated[str, AfterValidator(_is_network)]


class CoordinatorSettings(Settings):
    """Run the control plane: authenticate, measure and place members. The stream never passes through it."""

    listen: Annotated[EndpointText, AfterValidator(_with_host)] = Field(
        "0.0.0.0:8470", description="HOST:PORT for members, HTTP and tools"
    )
    state: Path = Field(DEFAULT_STATE, description="folder for the admin token, the groups and the Unix socket")
    journal: Path | None = Field(None, description="append a journal of events to this file, as JSON lines")
    trace: bool | None = Field(
        None, description="locate members by traceroute, which needs CAP_NET_RAW; default: if it is possible"
    )
    trace_socket: Path | None = Field(
        None,
        description="Unix socket of a service that traces routes (`overlaycast trace -`), instead of a child process",
    )
    members_limit: int = Field(10_000, ge=1, le=1_000_000, description="maximum members of one group")
    members_per_address: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="maximum members of one group at one address; default: half of members-limit, and up to 500",
    )
    newcomers_per_address: int = Field(
        256,
        ge=1,
        le=1024,
        description="maximum connections from one address that are no member's; one more closes the oldest",
    )
    trusted_proxy: list[TrustedProxy] = Field(
        [], description="address or network of a proxy whose X-Forwarded-For is believed; may be repeated"
    )
    allow_local: bool = Field(
        False,
        description="let members be at loopback, link-local and multicast addresses; not needed where --listen is on"
        " loopback and there is no proxy",
    )
    groups_limit: int = Field(1000, ge=1, le=100_000, description="maximum groups")
    measure_at_once: int = Field(32, ge=1, le=1024, description="maximum members measured at the same time")
    subscribe_timeout_s: float = Field(
        5.0, gt=0, le=60, description="seconds within which a new connection must subscribe"
    )
    unread_limit_kib: int = Field(
        4096,
        ge=64,
        le=1 << 20,
        description="maximum KiB of messages that a member has not read; with more, it is disconnected",
    )
    messages_per_s: float = Field(
        50.0, gt=0, le=10_000, description="maximum messages per second from one member, on average"
    )

    @property
    def most_at_one_address(self) -> int:
        """``members_per_address``; the default leaves places for others, however few there are."""
        if self.members_per_address is not None:
            return self.members_per_address
        return min(MEMBERS_AT_ONE_ADDRESS, (self.members_limit + 1) // 2)

    @property
    def local_members(self) -> bool:
        """May members dial one another at loopback and the like: told so, or all of them are on this host."""
        host = self.endpoint.host
        return self.allow_local or (not self.trusted_proxy and (host == "localhost" or is_loopback(host)))

    @property
    def endpoint(self) -> Endpoint:
        """``listen``, read."""
        return parse_endpoint(self.listen)
