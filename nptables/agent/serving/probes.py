"""What /healthz, /livez and /readyz answer, from what the loop last published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from nptables.agent.core.health import Health
from nptables.agent.serving.answers import Answer, healthz, livez, readyz

_NEVER = "0001-01-01T00:00:00Z"


class Probes:
    """Answers probes.

    `oldest` gives since when the oldest event waits that the loop has not taken yet, in the seconds
    of `clock`, or None. `count` is told the name and the status of every answer. `wall` gives
    seconds since the epoch.
    """

    def __init__(
        self,
        health: Health,
        *,
        oldest: Callable[[], float | None],
        count: Callable[[str, int], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._health = health
        self._oldest = oldest
        self._count = count
        self._clock = clock
        self._wall = wall

    def healthy(self) -> bool:
        """Whether no change waits for too long, be it for the loop or in it."""
        now = self._clock()
        oldest = self._oldest()
        late = oldest is not None and now - oldest >= self._health.timeout
        return self._health.healthy(now) and not late

    def healthz(self) -> Answer:
        """The answer to /healthz."""
        updated, now = self._times()
        eligible = self._health.node_eligible
        answer = healthz(healthy=self.healthy(), eligible=eligible, updated=updated, now=now)
        self._count("healthz", answer.status)
        return answer

    def livez(self) -> Answer:
        """The answer to /livez."""
        updated, now = self._times()
        answer = livez(healthy=self.healthy(), updated=updated, now=now)
        self._count("livez", answer.status)
        return answer

    def readyz(self) -> Answer:
        """The answer to /readyz."""
        return readyz(healthy=self.healthy(), synced=self._health.synced)

    def _times(self) -> tuple[str, str]:
        last = self._health.last_sync
        return _NEVER if last is None else rfc3339(last), rfc3339(self._wall())


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-01T00:00:00.000000Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
