"""How the tests run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No example is judged by the clock: the machine may be busy with other tests.
settings.register_profile(
    "nptables", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nptables")
