"""Fault kinds, and which host, link or router each one strikes. What makes a fault happen is ``injection``."""
