"""How routers answer those who trace routes through them: how often, from which address, or not at all. Pure.

Owns: the words for it in topologies and experiments, and what a router tells its kernel about it, as text for ``nft
-f -``. Refuses: words and numbers that mean nothing, in one line.

What is asked in the kernel's own terms is left to the kernel: ``stock`` is its own limit of ICMP errors, six at once to
one destination and then one a second for IPv4 (net.ipv4.icmp_ratelimit).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from overlaycast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class IcmpLimit:
    """So many ICMP errors a second to one destination, after a burst.

    Attributes:
        per_s: 0.02 to 1000 a second.
        burst: 1 to 1000 at once.
    """

    per_s: float
    burst: int


Icmp = Literal["off", "stock"] | IcmpLimit
ACCEPTED: Final = "off, stock, or {per_s: 0.02 to 1000, burst: 1 to 1000} (after a topology's name: icmp=PER_S/BURST)"
_SLASHED: Final = re.compile(r"(\d+(?:\.\d+)?)/(\d+)")
_LEAST, _MOST = 0.02, 1000
_HIGHEST: Final = 254


@dataclass(frozen=True, slots=True)
class Manners:
    """What is special about a router on the way of a probe.

    Attributes:
        anonymous: it never says that a packet's time to live ended.
        hides_ttl: it does not count as a hop, like the inside of an MPLS tunnel: it leaves the time to live as it is.
        answers_from: the neighbour on whose link it has the address that all its ICMP errors come from; None: the
            kernel chooses, usually the address of the interface that the answer leaves by.
        ecmp: it balances flows over all ways of equal cost.
    """

    anonymous: bool = False
    hides_ttl: bool = False
    answers_from: str | None = None
    ecmp: bool = False


PLAIN: Final = Manners()


def read_icmp(where: str, value: Any) -> Icmp:
    """Return a limit from what a file says.

    Args:
        where: what an error names first.
        value: ``off``, ``stock``, ``PER_S/BURST``, or a mapping of ``per_s`` and ``burst``.

    Raises:
        ConfigError: anything else.
    """
    if isinstance(value, IcmpLimit) or value in ("off", "stock"):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) and (found := _SLASHED.fullmatch(value)):
        value = {"per_s": float(found[1]), "burst": int(found[2])}
    if isinstance(value, Mapping) and set(value) == {"per_s", "burst"}:
        per_s, burst = value["per_s"], value["burst"]
        if _number(per_s) and _number(burst) and _LEAST <= per_s <= _MOST and burst in range(1, _MOST + 1):
            return IcmpLimit(float(per_s), int(burst))
    raise ConfigError(f"{where}: icmp is {value!r:.80}; accepted: {ACCEPTED}")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rules(manners: Manners, icmp: Icmp, addresses: tuple[str, ...] = ()) -> str:
    """Return the rules of a router; empty where the kernel needs none.

    Args:
        manners: the router's.
        icmp: the network's limit.
        addresses: those that its errors come from, one per IP version; none: as the kernel has it.
    """
    parts = []
    if manners.hides_ttl:
        parts.append(_hidden())
    if manners.anonymous:
        parts.append(_leaving("silent", ["icmp type time-exceeded drop", "icmpv6 type time-exceeded drop"]))
    elif isinstance(icmp, IcmpLimit):
        parts.append(_limited(icmp))
    if addresses:
        parts.append(_leaving("named", [_from(address) for address in addresses]))
    return f"table inet overlaycast_manners {{\n{''.join(parts)}}}\n" if parts else ""


def _leaving(name: str, lines: list[str]) -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return f"    chain {name} {{\n        type filter hook output priority mangle\n{body}    }}\n"


def _from(address: str) -> str:
    if ":" in address:
        return f"icmpv6 type {{ time-exceeded, destination-unreachable }} ip6 saddr set {address}"
    return f"icmp type {{ time-exceeded, destination-unreachable }} ip saddr set {address}"


def _limited(icmp: IcmpLimit) -> str:
    # nft counts in whole numbers; a bucket per destination, as the kernel's own
    rate = f"limit rate over {max(1, round(icmp.per_s * 60))}/minute burst {icmp.burst} packets"
    sets = "".join(
        f"    set asked{version} {{\n        type ipv{version}_addr\n        flags dynamic\n        size 65535\n"
        "        timeout 10m\n    }\n"
        for version in (4, 6)
    )
    lines = [
        f"icmp type {{ time-exceeded, destination-unreachable }} update @asked4 {{ ip daddr {rate} }} drop",
        f"icmpv6 type {{ time-exceeded, destination-unreachable }} update @asked6 {{ ip6 daddr {rate} }} drop",
    ]
    return sets + _leaving("limited", lines)


def _hidden() -> str:
    """Add one to the time to live of what comes in, which forwarding takes away again; nft has no sums, hence a table.

    Not to multicast: what may not leave its link (MLD) says so by its hop limit.
    """
    chains = "".join(
        f"    chain ttl{ttl} {{\n        meta nfproto ipv4 ip ttl set {ttl + 1}\n"
        f"        meta nfproto ipv6 ip6 hoplimit set {ttl + 1}\n    }}\n"
        for ttl in range(1, _HIGHEST + 1)
    )
    jumps = ", ".join(f"{ttl} : jump ttl{ttl}" for ttl in range(1, _HIGHEST + 1))
    return (
        f"{chains}    chain hidden {{\n        type filter hook prerouting priority mangle\n"
        f"        ip daddr != 224.0.0.0/4 ip ttl vmap {{ {jumps} }}\n"
        f"        ip6 daddr != ff00::/8 ip6 hoplimit vmap {{ {jumps} }}\n    }}\n"
    )
