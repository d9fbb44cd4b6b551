"""Hosts of one's own: playbooks, played through ansible-runner, and the units that they install."""
