"""An experiment file as models: read, checked, varied and drawn from a seed.

Begin with ``experiment`` (the fields) and ``reading`` (from a file to a ``plan``).
"""
