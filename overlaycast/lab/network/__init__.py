"""Namespaces, links and shaping on this machine.

Begin with ``network``, which builds a topology. ``shaping`` chooses how each link gets its delay and rate; ``tapwire``
carries frames where the kernel cannot.
"""
