"""What a NAT router tells its kernel, as text for ``nft -f -``. Pure.

Owns: the rules. IPv4 that leaves by the uplink gets the router's address there as its source; nothing enters by the
uplink but replies, in either family (IPv6 is not translated but filtered, as home routers do it: RFC 6092).
"""

from __future__ import annotations


def rules(uplink: str) -> str:
    """Return the rules for a router whose uplink is the interface of this name."""
    return f"""
table ip overlaycast_nat {{
    chain leaving {{
        type nat hook postrouting priority 100;
        oifname "{uplink}" masquerade
    }}
}}
table inet overlaycast_nat_filter {{
    chain through {{
        type filter hook forward priority 0; policy accept;
        iifname "{uplink}" ct state established,related accept
        iifname "{uplink}" drop
    }}
}}
"""
