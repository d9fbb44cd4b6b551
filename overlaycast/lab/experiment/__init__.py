"""An experiment file as models: read, checked, varied and drawn from a seed."""
