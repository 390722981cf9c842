"""What the way of a packet shows: which rule brought about its end, and whose rule that is.

The rule that drops a packet often only carries out what another decided: a chain marks the packet,
and a rule elsewhere drops whatever is marked. Reasons are about the rule that decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.iptables.rule import Rule
from nptables.iptables.values import Unsettled, mark_and_mask
from nptables.tracing.state import Step
from nptables.translation import chains

# Whose a chain is, by how its name begins; the first that fits counts.
_WRITERS = (
    ("CNI-HOSTPORT-", "CNI portmap"),
    ("CNI-DN-", "CNI portmap"),
    ("CNI-SN-", "CNI portmap"),
    ("CNI-", "a CNI plugin"),
    ("DOCKER", "Docker"),
    ("NETAVARK", "Podman"),
    ("KUBE-HOSTPORT", "the hostPorts of the kubelet"),
    ("KUBE-HP-", "the hostPorts of the kubelet"),
    ("KUBE-NWPLCY-", "kube-router"),
    ("KUBE-POD-FW-", "kube-router"),
    ("KUBE-ROUTER-", "kube-router"),
    ("KUBE-KUBELET-", "the kubelet"),
    ("KUBE-", "kube-proxy"),
    ("cali-", "Calico"),
    ("ANTREA-", "Antrea"),
    ("CILIUM_", "Cilium"),
    ("OLD_CILIUM_", "Cilium"),
    ("FLANNEL-", "flannel"),
    ("WEAVE", "Weave Net"),
    ("ISTIO_", "Istio"),
    ("PROXY_INIT_", "Linkerd"),
    ("LIBVIRT_", "libvirt"),
    ("ufw-", "ufw"),
    ("ufw6-", "ufw"),
)
_COMMENT = re.compile(r' --comment (?:"((?:[^"\\]|\\.)*)"|(\S+))')
_ESCAPE = re.compile(r"\\(.)")
_NEW_MARK = re.compile(r"(?:^|, )mark becomes (0x[0-9a-f]+)")
# A chain such as KUBE-MARK-DROP: it marks whatever comes, so its callers decide.
_ONLY_MARKS = re.compile(r'-A \S+(?: -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+))? -j MARK ')
_REDIRECT = re.compile(r" -j REDIRECT(?: --(?:to-ports \S+|random|random-fully))*$")


def comment_of(line: str) -> str:
    """The first comment of a line, without quotes and escapes, or an empty string."""
    match = _COMMENT.search(line)
    if match is None:
        return ""
    return _ESCAPE.sub(r"\1", match[1]) if match[1] is not None else match[2]


def place_of(step: Step) -> str:
    """Table, chain and node of a step, in words."""
    return f"{step.place} on {step.node}"


def callers(path: Sequence[Step], step: Step) -> Iterator[Step]:
    """The rules that jumped to the chain of a step, the nearest first."""
    depth = step.depth
    position = max((i for i, other in enumerate(path) if other == step), default=len(path))
    for other in reversed(path[:position]):
        if (other.node, other.hook, other.table) != (step.node, step.hook, step.table):
            return
        if other.depth < depth:
            depth = other.depth
            yield other


def writer_of(path: Sequence[Step], step: Step | None) -> str:
    """Who wrote a rule, by the names of the chains that lead to it; empty where that is open."""
    if step is None:
        return ""
    for place in (step, *callers(path, step)):
        for beginning, writer in _WRITERS:
            if place.chain.startswith(beginning):
                return writer
    return ""


def translation_on(path: Sequence[Step]) -> Step | None:
    """The last rule that translated the destination."""
    return next((s for s in reversed(path) if s.note.startswith("destination becomes")), None)


def is_redirect(step: Step | None) -> bool:
    """Whether a rule sends packets to a port of the node itself, whoever listens there."""
    return step is not None and _REDIRECT.search(step.line) is not None


def marked_for(path: Sequence[Step], rule: Step, family: Family) -> tuple[Step, str] | None:
    """The rule that gave a packet the mark which another rule asks for, and the mark.

    Where a chain does nothing but mark, it is the rule that jumps there.
    """
    wanted = _mark_asked_for(rule.line, family)
    if wanted is None:
        return None
    value, mask = wanted
    found: Step | None = None
    for step in path:
        if (match := _NEW_MARK.search(step.note)) is not None:
            fits = int(match[1], 16) & mask == value
            # The first of several that set it decided; one that takes the mark away undoes it.
            found = (found or step) if fits else None
    return None if found is None else (_decided(path, found), f"{value:#x}")


def dropped_nowhere(path: Sequence[Step]) -> Step | None:
    """The rule that had a packet marked to be dropped, where the chain for that is kube-proxy's."""
    marking = next((s for s in reversed(path) if s.chain == chains.MARK_DROP), None)
    return None if marking is None else _decided(path, marking)


def _decided(path: Sequence[Step], marking: Step) -> Step:
    if _ONLY_MARKS.match(marking.line) is None:
        return marking
    return next(callers(path, marking), marking)


def _mark_asked_for(line: str, family: Family) -> tuple[int, int] | None:
    try:
        rule = Rule.parse(line, family)
    except RuleSyntaxError:
        return None
    for match in rule.matches:
        option = match.option("--mark") if match.name == "mark" else None
        if option is not None and not option.negated:
            try:
                value, mask = mark_and_mask(option.value)
            except Unsettled:
                return None
            return (value, mask) if value else None
    return None
