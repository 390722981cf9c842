"""Notes about bundles: which objects they lack, and when objects and rules were taken."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from nptables.cli.output import say
from nptables.model import Cluster
from nptables.model.times import changed, in_words, seconds_of
from nptables.sources import Loaded
from nptables.words import listed

if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from nptables.iptables import Ruleset

_NAMED = 6
# Halves that were taken so shortly after one another need no words.
_NEAR = 5.0


def mention_limits(loaded: Loaded) -> None:
    """Say of which namespaces the objects of bundles are."""
    backing = loaded.cluster.backing
    if backing is not None and backing.namespaces is not None:
        if names := sorted(backing.namespaces):
            say(f"the objects are those of the namespaces {listed(names, _NAMED)} only")
        else:
            say("the bundle has no Services", kind="warning")


def known_part(current: Ruleset, cluster: Cluster) -> Ruleset:
    """The rules of a node without those of Services of which the objects of a bundle know nothing.

    A bundle may have some namespaces only: the rules of others may well be right.
    """
    backing = cluster.backing
    if backing is None or (backing.namespaces is None and not backing.hidden):
        return current
    from nptables.translation.explanation.grouping import without_services  # noqa: PLC0415 - seldom

    known, left_out = without_services(current, lambda service: not backing.knows(service))
    if left_out:
        count = "1 Service" if len(left_out) == 1 else f"{len(left_out)} Services"
        say(
            f"the objects lack {count} that the node has rules for, or hide addresses; these rules "
            f"are left out: {_some(left_out)}",
            kind="warning",
        )
    return known


def mention_age(loaded: Loaded) -> None:
    """Say when the objects of bundles were taken, to whoever looks at rules of many times."""
    if taken := seconds_of(loaded.taken) if loaded.taken else None:
        say(f"the objects are from {in_words(taken)}: later changes are in the rules alone")


def mention_times(loaded: Loaded, evidence: Evidence) -> None:
    """Say that objects and rules are of two times, and which Services changed in between."""
    objects = seconds_of(loaded.taken) if loaded.taken else None
    rules = seconds_of(evidence.taken) if evidence.taken else None
    if objects is None or rules is None or abs(objects - rules) < _NEAR:
        return
    text = f"the objects are from {in_words(objects)}, the rules from {in_words(rules)}"
    if rules > objects:
        say(f"{text}: what changed in between is in the rules alone")
        return
    later = ["/".join(key) for key, time in changed(loaded.cluster).items() if time >= rules]
    if not later:
        say(f"{text}: as far as the objects tell, nothing changed in between")
        return
    say(
        f"{text}: what changed in between ({_some(later)}) may differ only for that reason",
        kind="warning",
    )


def _some(services: Collection[str]) -> str:
    return ", ".join(sorted(services)[:_NAMED]) + (", ..." if len(services) > _NAMED else "")
