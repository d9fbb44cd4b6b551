"""Programs that play a part in a run: hostile members, and the two ends of IP multicast."""
