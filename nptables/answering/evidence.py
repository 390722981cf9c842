"""What a node has, as those who look at it need it: which tables, of which families, how whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from nptables.answering.inputs import Inputs, some
from nptables.answering.saying import Say, silent
from nptables.answering.versions import read_for
from nptables.errors import AmbiguousBackend, InvalidInput, Problem
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.model import Cluster
from nptables.words import counted

# Commands that need no evidence import this for its names, and nothing that reads evidence.
if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from nptables.iptables.changes import Plan
    from nptables.translation.explanation.difference import Explanation

Found = TypeVar("Found")
Given = TypeVar("Given", bound=Inputs)
_OPTIONS = {Family.IPV4: "-4", Family.IPV6: "-6"}


@attrs.frozen
class NodeHas:
    """What a node has, the file that it is from, and which of its backends is kube-proxy's.

    With `here` it is the node where this runs.
    """

    evidence: Evidence
    path: str | None = None
    backend: str = "auto"
    here: bool = False

    def serving(self, family: Family, *, strict: bool = True, say: Say = silent) -> Ruleset:
        """The ruleset for Services in what was read.

        Raises InvalidInput, with the file, and AmbiguousBackend where this node has two.
        """
        # See the imports.
        from nptables.evidence.backends import TWO_BACKENDS, both_in_use, service_ruleset  # noqa: PLC0415

        try:
            current = in_file(
                self.path,
                lambda: service_ruleset(self.evidence, family, self.backend, strict=strict),
            )
        except InvalidInput as error:
            if self.here and error.problems[0].code == TWO_BACKENDS:
                raise AmbiguousBackend(both_in_use(family)) from None
            raise
        if current.remarks.legacy_left_out and len(self.evidence.of(family)) == 1:
            say(
                f"{self.path} leaves out the legacy tables, which are not looked at", kind="warning"
            )
        return current

    def families(self, asked: Family | None, say: Say = silent) -> tuple[Family, ...]:
        """The families to look at: the one asked for, else those that there are tables of.

        That a file has IPv6 alone is said, for whoever did not ask for it. Raises InvalidInput
        where it has not the one that was asked for.
        """
        found = self.evidence.families
        if asked is None:
            if found == (Family.IPV6,) and self.path is not None:
                option = _OPTIONS[Family.IPV6]
                say(f"{self.path}: these are rules of ip6tables: read as IPv6 ({option})")
            return found or (Family.IPV4,)
        if len(found) == 1 and asked not in found:
            raise InvalidInput([
                Problem(
                    f"these are rules of {found[0].value}, and {asked.value} was asked for",
                    hint=f"{_OPTIONS[found[0]]}, and addresses of {found[0].value}, go with this "
                    f"{self.evidence.form.value}",
                    file=self.path,
                )
            ])  # fmt: skip
        return (asked,)

    def refuse_part(self) -> None:
        """Raise InvalidInput for a part of a node's rules, of which no comparison can be right."""
        if is_part(self.evidence):
            raise InvalidInput([
                Problem(
                    "holds a part of a node's rules, and what is not in it cannot be compared",
                    hint="take everything: `nptables snapshot`, or `iptables-save` as root",
                    file=self.path,
                )
            ])  # fmt: skip


def is_part(evidence: Evidence) -> bool:
    """Whether there may be more rules in tables that are there than those that are shown."""
    return evidence.is_fragment or any(r.unshown.open for r in evidence.rulesets)


def say_missing_tables(
    tables: Iterable[str], current: Ruleset, evidence: Evidence, what: str, say: Say
) -> None:
    """Say which of some tables a dump lacks, although the node may have them.

    `what` is what is right only if it has not, such as `comparison is`.
    """
    from nptables.evidence import Form  # noqa: PLC0415 - see the imports

    missing = [name for name in tables if name not in current.tables]
    # A reading of the kernel leaves no table out.
    if missing and evidence.form is not Form.SNAPSHOT:
        listed = " and ".join(missing)
        say(
            f"the {evidence.form.value} has no table {listed}: the {what} right only if the node "
            "has none either",
            kind="warning",
        )


def known_part(current: Ruleset, cluster: Cluster, say: Say = silent) -> Ruleset:
    """The rules of a node without those of Services of which the objects of a bundle know nothing.

    A bundle may have some namespaces only: the rules of others may well be right.
    """
    backing = cluster.backing
    if backing is None or (backing.namespaces is None and not backing.hidden):
        return current
    from nptables.translation.explanation.grouping import without_services  # noqa: PLC0415

    known, left_out = without_services(current, lambda service: not backing.knows(service))
    if left_out:
        count = counted(len(left_out), "Service")
        say(
            f"the objects lack {count} that the node has rules for, or hide addresses; these rules "
            f"are left out: {some(left_out)}",
            kind="warning",
        )
    return known


def explained(plans: Sequence[Plan], inputs: Inputs) -> Explanation:
    """Why a node differs from what the inputs say that it should have: one plan a family."""
    from nptables.translation.explanation.difference import explain_difference  # noqa: PLC0415

    return explain_difference(
        plans, inputs.cluster, inputs.node, inputs.config, lambda each: read_for(inputs.found, each)
    )


def with_shown_facts(
    inputs: Given, rulesets: Sequence[Ruleset], whose: str, say: Say = silent
) -> Given:
    """The inputs with the facts that a node's rules show, which nobody has told otherwise.

    `whose` says where the rules are from, such as `dump`.
    """
    from nptables.translation.facts_from_rules import changed_facts, shown_facts  # noqa: PLC0415

    node = inputs.node
    for current in rulesets:
        node = shown_facts(current).added_to(node)
    taken = changed_facts(inputs.node.facts, node.facts, inputs.config)
    if taken:
        said = ", ".join(taken)
        say(f"taken from the {whose}, which shows it: {said}", option="--facts says otherwise")
    return attrs.evolve(inputs, node=node)


def in_file(path: str | None, act: Callable[[], Found]) -> Found:
    """What `act` gives; its problems are about the file, where there is one."""
    try:
        return act()
    except InvalidInput as error:
        raise error.in_file(path) from None
