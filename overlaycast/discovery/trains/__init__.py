"""Whose train of echoes goes next, so that no two measure each other. Pure."""
