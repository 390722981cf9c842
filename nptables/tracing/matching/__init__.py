"""Whether a rule matches a packet: yes, no, with a probability, or it is unknown."""

from nptables.tracing.matching.compiling import compile_conditions
from nptables.tracing.matching.conditions import Answer, Ask, Condition, Setting

__all__ = ["Answer", "Ask", "Condition", "Setting", "compile_conditions"]
