"""``overlaycast group …``: administration of groups over the coordinator's HTTP API."""
