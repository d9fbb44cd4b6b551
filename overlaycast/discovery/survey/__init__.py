"""Finds the routes to many targets with few probes: which hop to ask, through whom, and when. Pure."""
