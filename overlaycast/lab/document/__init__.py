"""YAML that remembers where each value stands, so that an error can name the line."""
