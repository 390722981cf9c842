"""How often a hasty agent asks the test API server, and whether it did so more often."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from nptables.sources.apiserver import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.apiserver import Request

# The variable of the environment in which an agent finds further settings of its watches, as JSON.
WATCH_SETTINGS = "NPTABLES_TEST_WATCH"


def hasty_watch(more: Mapping[str, Any]) -> Settings:
    """The watches of an agent that never waits longer than half a second, but for `more`."""
    return Settings(**{"first_pause": 0.05, "longest_pause": 0.25, **more})


def too_soon(requests: Iterable[Request], settings: Settings) -> list[str]:
    """Each request that came before the pause after the one before it was over, in words.

    The pauses are those that `Settings` promises, without their random part. What the server
    never saw, such as a refused connection, lengthens them; that is not counted here.
    """
    asked = sorted(requests, key=lambda request: (request.resource, request.at))
    early = []
    for resource, group in itertools.groupby(asked, key=lambda request: request.resource):
        failures = 0
        for before, after in itertools.pairwise(group):
            lived = _ended(before, settings) - before.at
            # A second less than promised: the client may have counted from a little earlier.
            if before.watch and lived >= settings.healthy_after - 1:
                failures = 0
            if not _needs_pause(before, lived, settings):
                continue
            pause = min(settings.first_pause * 2**failures, settings.longest_pause)
            pause = max(pause, before.retry_after)
            failures += 1
            waited = after.at - _ended(before, settings)
            if waited < pause:
                early.append(f"{resource}: {waited:.3f} s after {before.status}, not {pause:.3f} s")
    return early


def _ended(request: Request, settings: Settings) -> float:
    """When a request was over; a silent one is left by the client after its patience."""
    return request.at + settings.silence if request.ended is None else request.ended


def _needs_pause(request: Request, lived: float, settings: Settings) -> bool:
    if request.ended is None or request.status != 200:
        return True
    return request.watch and lived < settings.shortest_watch - 1
