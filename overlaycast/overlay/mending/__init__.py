"""Changing the tree while it runs: orphans, stray members, improvements."""
