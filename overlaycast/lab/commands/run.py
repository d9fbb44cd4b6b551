"""``overlaycast lab run``: experiments, each in namespaces of its own.

Owns: which way of running the options ask for. The options and plans are ``run_plans``, runs one after the other are
``batch``, what happens within the namespaces is ``inside``, chaos and the search for a smaller timeline are ``replay``.
"""

from __future__ import annotations

from overlaycast.errors import ConfigError
from overlaycast.lab.commands.run_plans import PROG, RunSettings, plans
from overlaycast.settings import load


def main(argv: list[str]) -> int:
    """Run ``overlaycast lab run``."""
    settings = load(RunSettings, argv, PROG)
    from overlaycast.lab.commands.batch import run_all  # these two are slow to import, and --help needs neither
    from overlaycast.lab.commands.replay import replay, write_chaotic

    files = settings.experiments
    if settings.hosts is not None or settings.rehearse is not None:
        from overlaycast.lab.commands import on_hosts

        with on_hosts.each_line():
            on_hosts.refuse_options(settings)
            if settings.rehearse is not None:
                return on_hosts.rehearse(settings)
            return run_all(settings, [plan for file in files for plan in plans(settings, file, len(files) > 1)])
    for option, given in {"shape": settings.shape, "artefact": settings.artefact is not None}.items():
        if given:
            raise ConfigError(f"{PROG}: {option}: only with --hosts INVENTORY")
    if not files:
        raise ConfigError(f"{PROG}: experiments: required; accepted: one or more files")
    if settings.chaos is not None:
        files = [write_chaotic(settings, file, settings.chaos) for file in files]
    if settings.cli:
        return _open_prompt(settings)
    if settings.replay:
        return max(replay(settings, file) for file in files)
    return run_all(settings, [plan for file in files for plan in plans(settings, file, len(files) > 1)])


def _open_prompt(settings: RunSettings) -> int:
    """Open Mininet's prompt on the network of the first run of the one file that is named."""
    from overlaycast.lab.commands.inside import Inside, isolated

    if len(settings.experiments) > 1:
        raise ConfigError(f"{PROG}: cli: {len(settings.experiments)} experiments; accepted: one")
    [file] = settings.experiments
    return isolated(Inside(plans(settings, file)[0], prompt=True))
