"""YAML that remembers the line of each value, so that an error can name the line."""
