"""A topology file with everything a link can do, each way its own."""

from overlaycast.lab.routedtopo import RoutedTopo


class Rough(RoutedTopo):
    """Two LANs and a bad line between them."""

    def build(self) -> None:
        for router, host in (("r", "a"), ("s", "b")):
            self.router(router)
            self.host(host)
            self.link(router, host, rate_mbit=20)
        self.link(
            "r", "s", rate_mbit=10, delay_ms=30, jitter_ms=10, loss=0.1, queue=60_000, duplicate=0.05,
            back={"rate_mbit": 2, "delay_ms": 60, "loss": 0.0},
        )  # fmt: skip


topos = {"rough": Rough}
