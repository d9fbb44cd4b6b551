"""Experiments on real hosts: the same plan, carried out on hosts of an inventory instead of an emulated network."""
