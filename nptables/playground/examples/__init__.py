"""Examples: a question each, its answer, and the state that shows it.

They are offered in the order that they have here.
"""

from __future__ import annotations

import functools

from nptables.playground.examples.example import Given
from nptables.playground.examples.features import FEATURES
from nptables.playground.examples.no_answer import NO_ANSWER
from nptables.playground.examples.tutorial import TUTORIAL
from nptables.playground.protocol import Example

GROUPS: dict[str, tuple[Given, ...]] = {
    "It does not answer": NO_ANSWER,
    "What a NodePort does": TUTORIAL,
    "One feature each": FEATURES,
}


@functools.cache
def examples() -> tuple[Example, ...]:
    """All examples, group by group."""
    return tuple(given.example(group) for group, found in GROUPS.items() for given in found)
