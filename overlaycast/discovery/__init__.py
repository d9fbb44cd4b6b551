"""Measuring: the router path to a host, and what its control link can do. Parsing stands apart from sending."""
