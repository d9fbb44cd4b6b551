"""What travels: control messages (JSON over WebSocket) and data frames (binary over TCP). Imports no other package.

``messages`` and ``text`` are the control link, ``frames`` the data link, ``group`` a group's settings, ``journal`` and
``views`` what programs write for people and tools.
"""
