"""Notes about bundles: which objects they lack, and when objects and rules were taken."""

from __future__ import annotations

from nptables.cli.output import say
from nptables.model.times import in_words, seconds_of
from nptables.sources import Loaded
from nptables.words import listed

_NAMED = 6


def mention_limits(loaded: Loaded) -> None:
    """Say of which namespaces the objects of bundles are."""
    backing = loaded.cluster.backing
    if backing is not None and backing.namespaces is not None:
        if names := sorted(backing.namespaces):
            say(f"the objects are those of the namespaces {listed(names, _NAMED)} only")
        else:
            say("the bundle has no Services", kind="warning")


def mention_age(loaded: Loaded) -> None:
    """Say when the objects of bundles were taken, to whoever looks at rules of many times."""
    if taken := seconds_of(loaded.taken) if loaded.taken else None:
        say(f"the objects are from {in_words(taken)}: later changes are in the rules alone")
