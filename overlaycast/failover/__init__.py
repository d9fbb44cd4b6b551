"""Which parent feeds a node, decided locally and at once when one falls silent (Fig. 8).

Pure: the agent drives this machine with sockets, the simulator drives it in virtual time.
"""
