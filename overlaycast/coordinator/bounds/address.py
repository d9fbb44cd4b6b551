"""What counts as one address where each has its share: an IPv4 one, or the /64 that one IPv6 host can have (pure)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

_HOST_BITS: Final = 64


def block_of(host: str) -> str:
    """Return the address, or of an IPv6 address its network of 64 bits, in which a host may take any it likes."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(IPv6Network((int(address) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))
