"""`nptables`, whose agent hardly waits: before it asks again, or calls a difference drift."""

from __future__ import annotations

import json
import os
import sys

import attrs

from nptables.agent import running
from nptables.cli import main
from tests.support.pace import WATCH_SETTINGS, hasty_watch

_run = running.run

if __name__ == "__main__":
    watch = hasty_watch(json.loads(os.environ.get(WATCH_SETTINGS, "{}")))
    running.run = lambda settings, *more: _run(
        attrs.evolve(settings, watch=watch, options=attrs.evolve(settings.options, settle=1.0)),
        *more,
    )
    sys.exit(main())
