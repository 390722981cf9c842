"""From the model to the ruleset: what kube-proxy in iptables mode would program."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use
from nptables.translation.assembly import Translation, translate
from nptables.translation.chains import ServicePortName
from nptables.translation.owned import ownership

if TYPE_CHECKING:
    from nptables.translation.explanation.decision import Decision, Reason
    from nptables.translation.explanation.notices import Notice
    from nptables.translation.explanation.origin import Origin

__all__ = [
    "Decision",
    "Notice",
    "Origin",
    "Reason",
    "ServicePortName",
    "Translation",
    "ownership",
    "translate",
]

# Rules are made without a word about them.
__getattr__ = imported_on_use(
    __name__,
    {
        "Decision": "nptables.translation.explanation.decision",
        "Notice": "nptables.translation.explanation.notices",
        "Origin": "nptables.translation.explanation.origin",
        "Reason": "nptables.translation.explanation.decision",
    },
)
