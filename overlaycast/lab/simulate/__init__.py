"""The coordinator's real decisions on maps of real networks, in virtual time and without sockets.

Begin with ``study``; its ``world`` has the coordinator and the members (``member``, ``node``).
"""
