"""What a form of output can print: findings, what packets notice, or how rules differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import attrs

from nptables.checks import Finding
from nptables.effects import Effect, Effects
from nptables.effects.words import NOBODYS, Addresses, sentences
from nptables.immutable import frozen
from nptables.iptables.changes import Plan
from nptables.sources import Place

# Where the object stands because of which the rules of a Service differ: namespace and name.
PlaceOf = Callable[[tuple[str, str]], Place | None]


@frozen
class Findings:
    """What a command found: what is reported, and what is silenced.

    `title` is what the whole is called, such as `nptables check`.
    """

    title: str
    reported: Sequence[Finding]
    ignored: Sequence[Finding] = ()


@frozen
class Noticed:
    """What packets notice of a difference, and where its objects stand.

    `own` are the addresses of nodes by their names, where it is asked of many.
    """

    effects: Effects
    place: PlaceOf
    own: Addresses = NOBODYS


def sentences_of(
    parts: Sequence[Noticed], of: Callable[[Effects], Sequence[Effect]]
) -> Iterator[str]:
    """The sentences of some of the effects of all parts, such as those that are not known."""
    found = [effect for part in parts for effect in of(part.effects)]
    own: dict[str, Collection[str]] = {}
    for part in parts:
        own.update(part.own)
    return sentences(found, own)


@frozen
class Planned:
    """How the rules of a node differ, and where the objects stand that make them.

    `set` is that of a tree, `nodes` are those that the same is true of, where it is asked of many.
    """

    plan: Plan
    place: PlaceOf
    set: str = ""
    nodes: tuple[str, ...] = ()

    def also_on(self, other: Planned) -> Planned:
        """The same for the nodes of another one, which changes the same."""
        return attrs.evolve(self, nodes=(*self.nodes, *other.nodes))


@frozen
class Form:
    """A form of output: each of its functions gives lines; None for what it cannot print.

    `warning` is a sentence for whoever reads the form and sees no words on standard error.
    """

    findings: Callable[[Findings], Iterator[str]] | None = None
    effects: Callable[[Sequence[Noticed]], Iterator[str]] | None = None
    plans: Callable[[Sequence[Planned]], Iterator[str]] | None = None
    warning: Callable[[str], Iterator[str]] | None = None
