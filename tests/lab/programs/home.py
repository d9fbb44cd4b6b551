"""A topology file with a NAT router, for stock Mininet."""

from overlaycast.lab.routedtopo import RoutedTopo


class Home(RoutedTopo):
    """``in`` behind NAT router ``n``, ``out`` beyond the core."""

    def build(self) -> None:
        self.router("core")
        self.router("n", nat=True)
        self.host("out", role="server")
        self.host("in", site="home")
        self.link("core", "out")
        self.link("core", "n", delay_ms=2, uplink_of="home")
        self.link("n", "in")


topos = {"home": Home}
