"""The answer of a trace: outcomes with their shares, the reasons, and words for both."""

from nptables.tracing.explanation.result import Distribution, Outcome, Trace, Verdict

__all__ = ["Distribution", "Outcome", "Trace", "Verdict"]
