"""`nptables`, whose agent hardly waits: before it asks again, or calls a difference drift."""

from __future__ import annotations

import sys

import attrs

from nptables.agent import running
from nptables.cli import main
from nptables.sources.apiserver import Settings

_run = running.run

if __name__ == "__main__":
    watch = Settings(first_pause=0.05, longest_pause=0.25)
    running.run = lambda settings, log: _run(
        attrs.evolve(settings, watch=watch, options=attrs.evolve(settings.options, settle=1.0)), log
    )
    sys.exit(main())
