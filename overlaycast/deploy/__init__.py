"""Hosts of one's own: playbooks, played through ansible-runner, and the units that they install.

Begin with ``command`` (the five commands) and ``playing`` (one playbook, and what is printed of it). What is done on
hosts is in ``playbooks/``.
"""
