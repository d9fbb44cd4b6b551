"""The coordinator's options, and how much a caller may send."""
