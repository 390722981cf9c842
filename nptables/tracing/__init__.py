"""What happens to a packet in a ruleset, and why."""

from nptables.tracing.ends import family_between, packet_between
from nptables.tracing.explanation import Distribution, Outcome, Trace, Verdict
from nptables.tracing.hops import missing_tables
from nptables.tracing.packet import Origin, Packet
from nptables.tracing.sets import read_sets
from nptables.tracing.state import Step
from nptables.tracing.tracer import trace

__all__ = [
    "Distribution",
    "Origin",
    "Outcome",
    "Packet",
    "Step",
    "Trace",
    "Verdict",
    "family_between",
    "missing_tables",
    "packet_between",
    "read_sets",
    "trace",
]
