"""What a start needs: a backend, however long it takes to find out which, and all of the time."""

from __future__ import annotations

import contextlib
import gc
import resource
from collections.abc import Callable
from types import TracebackType
from typing import Self

from nptables.agent.process.logs import Log
from nptables.errors import KernelBusy
from nptables.family import Family
from nptables.kernel import Choice, ReadTimeout, choose
from nptables.kernel.programs import Runner

# Seconds for reading while others commit: what has changed in the cluster waits meanwhile.
_DISTURBED = 3.0
# Seconds after which the collector runs again though nothing is in sync: an API server that does
# not answer for days leaves errors, and these refer to themselves.
_LONGEST_REST = 60.0


def choose_backend(
    family: Family,
    backend: str,
    log: Log,
    run: Runner,
    choosing: Callable[..., Choice] = choose,
) -> Choice:
    """The backend of a node, however long its tables take to read (at most half an hour).

    Where others change them faster than they can be read, parts of them are enough.

    `run` starts programs, here and whenever the backend is used.
    Raises what `choose` raises.
    """
    read_timeout = ReadTimeout(disturbed=_DISTURBED)
    while True:
        given = read_timeout.seconds
        try:
            return choosing(family, backend, run=run, read_timeout=read_timeout, blind=True)
        except KernelBusy as error:
            if read_timeout.seconds == given:
                raise
            log.warning(
                "the tables take long to read; trying again with more time",
                family=family.value,
                reason=str(error),
                seconds=read_timeout.seconds,
            )


def raise_stack_limit() -> None:
    """Let the programs that this process starts use all the stack that they may.

    iptables-nft-save goes as deep as there are chains where these were created in order of names,
    and 120,000 of them are too many for the usual 8 MB.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))


class CollectorRest:
    """A context in which the garbage collector does not run until the first sync.

    What a start makes are the cluster and its rules, and they stay: looking for garbage among
    them takes a tenth of its processor time. After a minute it runs in any case, and at the end.
    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + _LONGEST_REST
        self._over = False

    def __enter__(self) -> Self:
        """Let it rest."""
        gc.disable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it run again."""
        self._end()

    def look(self) -> None:
        """End it if it is time to; to be called every few seconds."""
        if not self._over and self._clock() >= self._until:
            self._end()

    def synced(self) -> None:
        """End it, and never look through what is there by now."""
        # The cluster and its rules stay: a million objects that the collector would look through
        # every now and then, which takes longer than most syncs.
        gc.freeze()
        self._end()

    def _end(self) -> None:
        self._over = True
        gc.enable()
