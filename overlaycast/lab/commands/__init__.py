"""The subcommands of ``overlaycast lab``."""
