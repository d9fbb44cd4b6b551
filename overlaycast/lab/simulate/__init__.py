"""The overlay's real core on maps of real networks, in virtual time and without sockets."""
