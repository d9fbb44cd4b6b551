"""Which parent feeds a node, decided locally and at once when one falls silent (Fig. 8).

Pure: the agent drives this machine with sockets, the simulator drives it in virtual time.

``machine`` is what both call. Its ``tick`` finds a silence that is too long; how long that is, ``silence`` knows;
``succession`` makes the switch, and ``outage`` says whom to ask next. What a connection says goes to ``hearing``, and
what breaks to ``losses``; the connections themselves are in ``parents`` and ``links``. Which children are let in is
``admission``.
"""
