"""One run: its processes, its timeline, its end."""
