"""`nptables`, whose agent waits half a second at most before it asks the API server again."""

from __future__ import annotations

import sys

import attrs

from nptables.agent import running
from nptables.cli import main
from nptables.sources.apiserver import Settings

_run = running.run

if __name__ == "__main__":
    watch = Settings(first_pause=0.05, longest_pause=0.25)
    running.run = lambda settings, log: _run(attrs.evolve(settings, watch=watch), log)
    sys.exit(main())
