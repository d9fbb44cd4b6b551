"""The name under which a topology file imports its base class; the class itself is in the package ``topology``."""

from overlaycast.lab.topology.routedtopo import RoutedTopo

__all__ = ["RoutedTopo"]
