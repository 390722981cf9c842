"""What a walk leaves behind: the rules that did something, and how possibilities ended."""

from __future__ import annotations

import enum
from typing import NamedTuple

from nptables.immutable import frozen
from nptables.tracing.state import Flow, State


class End(enum.Enum):
    """How a walk ended before the packet had passed every hook."""

    DROPPED = "dropped"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@frozen
class Step:
    """One rule that did something with the packet, or a policy that decided.

    `depth` counts the chains above it in the same hook. `note` says what happened. `backend` is
    whose rule it is, where the node has the tables of two.
    """

    node: str
    hook: str
    table: str
    chain: str
    line: str
    note: str = ""
    depth: int = 0
    backend: str = ""

    @property
    def place(self) -> str:
        """Table and chain, and the backend before them where there are two."""
        return f"{self.backend} {self.table} {self.chain}".strip()


class Ended(NamedTuple):
    """Possibilities that ended: how, in which state, by which step."""

    end: End
    state: State
    flow: Flow
    step: Step | None
    text: str
