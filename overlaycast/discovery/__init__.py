"""Measuring: the router path to a host, and what its control link can do. Parsing stands apart from sending.

A path: ``client`` asks a process (``worker``), whose ``tracer`` sends probes as ``route`` decides. Delay and rate of a
control link: ``echo``, whose trains take turns (``trains``).
"""
