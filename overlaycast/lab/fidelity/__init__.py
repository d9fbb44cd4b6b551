"""Whether the emulated network is the one that was asked for, measured before a run.

Begin with ``fidelity``; ``probes`` and ``reach`` send and receive for it.
"""
