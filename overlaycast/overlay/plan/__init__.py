"""Moves and what they must respect: ranks, capacity, reachability, promised standbys.

``moves`` is the only way to change the plan, ``promises`` has the standbys, ``orders`` makes messages of it all.
"""
