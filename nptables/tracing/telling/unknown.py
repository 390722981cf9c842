"""What an answer does not know: endpoints that the input of the rules does not tell."""

from __future__ import annotations

import attrs

from nptables.iptables.ruleset import Ruleset
from nptables.tracing.telling.comments import comment_of
from nptables.tracing.telling.result import Outcome, Trace, Verdict
from nptables.translation import Reason, Translation
from nptables.translation.backing import backed

_CODE = "endpoints-unknown"
_SAID_OF_NONE = ("no-endpoint", "no-endpoints", _CODE)


def without_guesses(answer: Trace, ruleset: Ruleset) -> Trace:
    """The answer, in which nothing is refused only because the input has no endpoints.

    Rules that were made from manifests refuse packets for a Service without endpoints. Where the
    manifests do not tell its endpoints, those of a cluster may do otherwise. Rules of a node are
    what they are.
    """
    if not isinstance(ruleset, Translation):
        return answer
    namespace, _, name = answer.subject.partition(":")[0].partition("/")
    service = ruleset.cluster.services.get((namespace, name))
    why = backed(ruleset.cluster, service).unknown if service is not None else ""
    if not why:
        return answer
    text = f"the endpoints of Service {namespace}/{name} are not known: {why}"
    found = tuple(
        attrs.evolve(one, outcomes=tuple(_without_guess(outcome, text) for outcome in one.outcomes))
        for one in answer.distributions
    )
    if found == answer.distributions:
        return answer
    reasons = (reason for reason in answer.reasons if reason.code not in _SAID_OF_NONE)
    return attrs.evolve(answer, distributions=found, reasons=(Reason(_CODE, text), *reasons))


def _without_guess(outcome: Outcome, text: str) -> Outcome:
    if outcome.rule is None or "has no endpoints" not in comment_of(outcome.rule.line):
        return outcome
    return attrs.evolve(outcome, verdict=Verdict.UNKNOWN, text=text)
