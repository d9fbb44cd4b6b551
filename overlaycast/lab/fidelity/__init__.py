"""Whether the emulated network is the one that was asked for, measured before a run."""
