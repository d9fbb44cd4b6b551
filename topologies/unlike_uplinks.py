"""Six sites of unlike size behind uplinks of 12 to 50 Mbit/s, below three regional routers that nobody prepared for us.

Every router limits its ICMP errors as Linux does, and two never answer a probe: the leaf of the third site, and the
second regional router. Addresses run on through one /24, so they tell nothing about places. Source and coordinator are
one host behind 50 Mbit/s (experiments say so: ``members: {coordinator: source}``).

The thinnest uplink is the bound of a file: 12 Mbit/s for all, or more for those whose own uplink carries more.
"""

from overlaycast.lab.routedtopo import RoutedTopo

CORE_MBIT, LAN_MBIT, SOURCE_MBIT = 200, 1000, 50
REGIONS = {"R1": ("La", "Lb"), "R2": ("Lc", "Ld"), "R3": ("Le", "Lf")}
UPLINKS = {"La": (12, 4), "Lb": (50, 10), "Lc": (20, 6), "Ld": (30, 8), "Le": (16, 6), "Lf": (40, 6)}
"""Leaf -> Mbit/s of its uplink, members behind it."""
SILENT = ("Lc", "R2")


class UnlikeUplinks(RoutedTopo):
    """The source's router, three regional routers, two leaf routers below each, and their members."""

    icmp = "stock"
    addressing = "one24"

    def build(self) -> None:
        self.router("R0")
        self.host("source", site="head", role="server")
        self.host("control", role="coordinator")
        self.link("R0", "source", rate_mbit=SOURCE_MBIT, delay_ms=1, uplink_of="head")
        self.link("R0", "control", rate_mbit=LAN_MBIT)
        for number, (region, leaves) in enumerate(REGIONS.items(), 1):
            self.router(region, anonymous=region in SILENT)
            self.link("R0", region, rate_mbit=CORE_MBIT, delay_ms=number)
            for leaf in leaves:
                rate, members = UPLINKS[leaf]
                site = leaf[1]
                self.router(leaf, anonymous=leaf in SILENT)
                self.link(region, leaf, rate_mbit=rate, delay_ms=2, uplink_of=site)
                for host in range(1, members + 1):
                    self.host(f"{site}{host}", site=site)
                    self.link(leaf, f"{site}{host}", rate_mbit=LAN_MBIT)


topos = {"unlike_uplinks": UnlikeUplinks}
