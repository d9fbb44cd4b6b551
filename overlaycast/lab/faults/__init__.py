"""Fault kinds, and which host, link or router each one strikes."""
