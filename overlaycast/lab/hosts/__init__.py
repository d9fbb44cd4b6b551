"""Experiments on real hosts: the same plan, carried out on hosts of an inventory instead of an emulated network.

Begin with ``course``. ``mapping`` chooses the hosts, ``orders`` and ``deeds`` say what each does, ``hands`` brings that
there, and ``recorded`` makes a recording of what came back.
"""
