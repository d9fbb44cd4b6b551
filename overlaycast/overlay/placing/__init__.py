"""Choosing a parent for one member or for many at once (Fig. 4 and 5)."""
