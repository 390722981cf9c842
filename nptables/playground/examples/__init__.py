"""Examples: a question each, its answer, and the state that shows it."""

from nptables.playground.examples.reading import examples

__all__ = ["examples"]
