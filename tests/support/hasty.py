"""`nptables` that hardly waits.

Its agent does not before it asks again, or calls a difference drift; a command gives up reading
what others change all the time as soon as it would give up waiting for the lock.
"""

from __future__ import annotations

import json
import os
import sys

import attrs

from nptables.agent import running
from nptables.cli import main
from nptables.kernel.tables import choosing
from tests.support.pace import WATCH_SETTINGS, hasty_watch

_run = running.run

if __name__ == "__main__":
    choosing.DISTURBED = 0.0
    watch = hasty_watch(json.loads(os.environ.get(WATCH_SETTINGS, "{}")))
    running.run = lambda settings, *more: _run(
        attrs.evolve(settings, watch=watch, options=attrs.evolve(settings.options, settle=1.0)),
        *more,
    )
    sys.exit(main())
