"""The node: receives records from a parent, keeps them in one ring, and forwards them to its children."""
