"""Fault kinds, and which host, link or router each one strikes. What makes a fault happen is ``injection``.

``faults`` declares the kinds. ``aim`` finds what one hits; ``targets`` resolves the expressions among members.
"""
