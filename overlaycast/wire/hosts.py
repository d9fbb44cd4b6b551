"""What may stand for a host on the wire, and which addresses mean something on one host or one link only. Pure.

Owns: these rules, for all who send, check or dial an address. Refuses: to resolve a name.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from overlaycast.urls import is_host_name

HOST_LIMIT: Final = 64
ACCEPTED: Final = f"accepted is an IP address or a host name of up to {HOST_LIMIT} characters"

# the C library takes 127.1, 2130706433 and 0x7f.1 for addresses
_NUMBER: Final = re.compile(r"(\d+|0x[0-9a-f]*)", re.IGNORECASE | re.ASCII)
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_DOTTED: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
"""Exactly the texts that ``ipaddress`` takes for IPv4 addresses, found at a tenth of the cost."""
_ZONE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_SHARED: Final = IPv4Network("100.64.0.0/10")
"""Behind a provider's translator (RFC 6598)."""
_COMPATIBLE: Final = IPv6Network("::/96")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_LAST_32: Final = 0xFFFFFFFF
_WIDE: Final = frozenset(map(str, range(1, 224))) - {"127", "169"}
"""First bytes of IPv4 addresses that are all meant for others; and what begins so and is none is no address."""


def is_host(text: str) -> bool:
    """Return whether this is an IP address, perhaps with a zone, or a host name (RFC 1123); 64 characters at most."""
    if not 0 < len(text) <= HOST_LIMIT:
        return False
    if _DOTTED.fullmatch(text):
        return True
    if _parsed(text) is not None:
        zone = text.partition("%")[1:]
        return not zone[0] or _ZONE.fullmatch(zone[1]) is not None
    return is_host_name(text) and not _NUMBER.fullmatch(text.removesuffix(".").rpartition(".")[2])


def plain(host: str) -> str:
    """Return an address in the one way that it is written here; an IPv4 one never as ``::ffff:192.0.2.1``."""
    if _DOTTED.fullmatch(host):  # there is one way only
        return host
    address = _parsed(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return host if address is None else str(address)


def is_literal(host: str) -> bool:
    """Return whether this is an address, not a name."""
    return _parsed(host) is not None


def is_loopback(host: str) -> bool:
    """Return whether this address is a host's own, whatever host it is. False for a name."""
    address = _inner(host)
    return address is not None and address.is_loopback


def is_local(host: str) -> bool:
    """Return whether this address means something on one host or one link only, or many hosts. False for a name.

    These are loopback, link-local, multicast, broadcast and unspecified addresses, also within an IPv6 address.
    """
    if host.partition(".")[0] in _WIDE:  # most members': what follows costs ten times as much
        return False
    address = _inner(host)
    return address is not None and _is_local(address)


def is_private(host: str) -> bool:
    """Return whether this address means something within one network only, as behind a translator."""
    address = _inner(host)
    if address is None or _is_local(address):
        return False
    return address.is_private or (isinstance(address, IPv4Address) and address in _SHARED)


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address) and (address in _THIS_NETWORK or address.is_reserved):
        return True
    return address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _inner(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address, or the IPv4 one that it stands for."""
    address = _parsed(host)
    if not isinstance(address, IPv6Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and (address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1)):
        embedded = IPv4Address(int(address) & _LAST_32)
    return embedded or address
