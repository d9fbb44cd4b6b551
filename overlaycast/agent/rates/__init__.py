"""Rates and times of a stream: when bytes are due, how much may go at once, what has come and how fast.

Pure: every time is an argument; nothing here waits.
"""
