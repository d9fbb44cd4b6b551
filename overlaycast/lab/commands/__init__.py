"""The subcommands of ``overlaycast lab``.

``lab`` lists them. ``run`` is the longest: ``run_plans`` reads its options, ``inside`` is the part within namespaces.
"""
