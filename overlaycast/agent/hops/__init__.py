"""TCP connections to parents and children, and how their bytes enter and leave the ring."""
