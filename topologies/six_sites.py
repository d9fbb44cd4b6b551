"""Six sites of eight members behind slow uplinks, and a source with an equally slow uplink.

An uplink carries 20 Mbit/s in each direction, so a source cannot feed all members, and a site cannot receive a copy per
member. For a file, one copy in and one copy out per site is the best plan; a live stream of 8 Mbit/s leaves room for
two.
"""

from overlaycast.lab.routedtopo import RoutedTopo

CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 1000, 20, 1000
UPLINK_MS = 5
SITES, MEMBERS = 6, 8


class SixSites(RoutedTopo):
    """The source's site, six sites with eight clients each, one core router between them."""

    def build(self) -> None:
        self.router("core")
        self.router("R0")
        self.link("core", "R0", rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of="head")
        self.host("source", site="head", role="server")
        self.link("R0", "source", rate_mbit=LAN_MBIT)
        self.host("control", role="coordinator")
        self.link("core", "control", rate_mbit=CORE_MBIT)
        for site in range(1, SITES + 1):
            router = self.router(f"R{site}")
            self.link("core", router, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=f"site{site}")
            for member in range(1, MEMBERS + 1):
                host = self.host(f"h{site}_{member}", site=f"site{site}")
                self.link(router, host, rate_mbit=LAN_MBIT)


topos = {"six_sites": SixSites}
