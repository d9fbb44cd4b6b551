"""From journals and counters to figures and a verdict.

Begin with ``judge``, which puts the result together from the other modules' figures.
"""
