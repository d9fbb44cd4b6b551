"""Moves and what they must respect: ranks, capacity, reachability, promised standbys."""
