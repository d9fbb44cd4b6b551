"""Application-layer multicast by client forwarding."""

__version__ = "0.1.0"
