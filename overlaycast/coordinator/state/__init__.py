"""What outlives the process: groups, secrets, events."""
