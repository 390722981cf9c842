"""What is to be said beside an answer: the fronts show it in their own way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Say(Protocol):
    """Takes one sentence for the reader; `kind` is note or warning.

    `option` says which option of the command line would have it otherwise, for whoever has one.
    """

    def __call__(self, text: str, *, kind: str = "note", option: str = "") -> None:
        """Show the sentence, or keep it."""


def silent(text: str, *, kind: str = "note", option: str = "") -> None:
    """Say nothing."""
    del text, kind, option


def say_all(say: Say, texts: Iterable[object], *, kind: str) -> None:
    """Several sentences of one kind."""
    for text in texts:
        say(str(text), kind=kind)
