"""Changing the tree while it runs: orphans, stray members, improvements.

``repair`` gives orphans a parent, ``gather`` brings strays back, ``improve`` moves members that are well, and ``drain``
empties one that is to stop.
"""
