"""File groups: records of a file on disk, from the source's reading to the receiver's checked output.

Begin with ``file_source`` at one end and ``file_receiver`` at the other.
"""
