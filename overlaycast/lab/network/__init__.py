"""Namespaces, links and shaping on this machine."""
