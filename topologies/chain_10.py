"""Ten routers in a row, a site of two clients at each, and the source before the first.

This is the longest path that a group's default depth limit allows. With an out-degree of one the tree becomes a chain,
which shows what each level adds to delay and recovery time.
"""

from overlaycast.lab.routedtopo import RoutedTopo

DEPTH, MEMBERS = 10, 2
CHAIN_MBIT, UPLINK_MBIT, LAN_MBIT = 100, 20, 1000
CHAIN_MS, UPLINK_MS = 2, 1


class Chain10(RoutedTopo):
    """Source, coordinator and backup at R0; below it R1 to R10, each with the access router of its site."""

    def build(self) -> None:
        self.router("R0")
        for name, role in (("source", "server"), ("control", "coordinator"), ("backup", "backup")):
            self.host(name, role=role)
            self.link("R0", name, rate_mbit=LAN_MBIT)
        for level in range(1, DEPTH + 1):
            self.router(f"R{level}")
            self.link(f"R{level - 1}", f"R{level}", rate_mbit=CHAIN_MBIT, delay_ms=CHAIN_MS)
            access = self.router(f"E{level}")
            self.link(f"R{level}", access, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=f"level{level}")
            for member in range(1, MEMBERS + 1):
                host = self.host(f"h{level}_{member}", site=f"level{level}")
                self.link(access, host, rate_mbit=LAN_MBIT)


topos = {"chain_10": Chain10}
