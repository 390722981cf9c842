"""What the input does not tell about the Services in it."""

from __future__ import annotations

from collections.abc import Iterable

from nptables.answering.saying import Say, say_all
from nptables.model import Cluster
from nptables.translation.explanation.unknown import unknown_endpoints

_OPTION = "-v says why"
_NAMED = 4


def say_unknown(clusters: Iterable[Cluster], say: Say, *, each: bool = False) -> None:
    """Say which Services have endpoints that the input does not tell, in one line or line by line.

    With `each` it is a line for each Service, and why.
    """
    found = [
        ("/".join(key), why) for one in clusters for key, why in unknown_endpoints(one).items()
    ]
    if each or len(found) == 1:
        lines = [f"the endpoints of Service {name} are not known: {why}" for name, why in found]
        say_all(say, lines, kind="note")
    elif found:
        reasons = {why for _, why in found}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        listed = ", ".join(name for name, _ in found[:_NAMED])
        more = ", ..." if len(found) > _NAMED else ""
        text = f"the endpoints of {len(found)} Services are not known ({listed}{more}){why}"
        say(text, option=_OPTION)
