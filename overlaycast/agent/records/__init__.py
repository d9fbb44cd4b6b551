"""The node's buffer: one ring of records, and what enters it. Pure; no sockets, no clock."""
