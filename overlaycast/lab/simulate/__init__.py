"""The coordinator's real decisions on maps of real networks, in virtual time and without sockets."""
