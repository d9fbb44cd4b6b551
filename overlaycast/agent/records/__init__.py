"""The node's buffer: one ring of records, and what enters it. Pure; no sockets, no clock.

Begin with ``ring``; its memory is in ``slabs``. What a link brings goes through ``intake``, which ``live_intake`` and
``chunk_intake`` make into the two modes of a group.
"""
