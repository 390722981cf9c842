"""From the model to the ruleset: what kube-proxy in iptables mode would program."""

from nptables.translation.assembly import Translation, translate
from nptables.translation.chains import ServicePortName
from nptables.translation.explanation.decision import Decision, Notice, Reason
from nptables.translation.explanation.origin import Origin
from nptables.translation.owned import ownership

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
