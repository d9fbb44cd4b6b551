"""File groups: records of a file on disk, from the source's reading to the receiver's checked output."""
