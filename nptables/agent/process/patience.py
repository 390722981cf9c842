"""Finding out how a node's tables are kept, however long that takes."""

from __future__ import annotations

from collections.abc import Callable

from nptables.agent.process.logs import Log
from nptables.errors import KernelBusy
from nptables.family import Family
from nptables.kernel import Choice, Patience, choose


def choose_patiently(
    family: Family,
    backend: str,
    log: Log,
    choosing: Callable[..., Choice] = choose,
) -> Choice:
    """The backend of a node, however long its tables take to read (at most half an hour).

    Raises what `choose` raises.
    """
    patience = Patience()
    while True:
        given = patience.seconds
        try:
            return choosing(family, backend, patience=patience)
        except KernelBusy as error:
            if patience.seconds == given:
                raise
            log.warning(
                "the tables take long to read; trying again with more time",
                family=family.value,
                reason=str(error),
                seconds=patience.seconds,
            )
