"""How the tests run."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Examples of each property: fewer where Python is slow.
EXAMPLES = int(os.environ.get("NPTABLES_EXAMPLES", "50"))

# No example is judged by the clock: the machine may be busy with other tests.
settings.register_profile(
    "nptables", deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nptables")
