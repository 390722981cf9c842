"""What packets notice, on the command line: `--effects`, and the line that counts them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import attrs
import click

from nptables.checks.reports import workflow_command
from nptables.cli.options import Inputs
from nptables.cli.output import print_json, say, say_all
from nptables.effects import Effects, NodeState, compare_effects
from nptables.effects.telling.words import sentence, sentences, summary
from nptables.errors import KernelError
from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.outcome import carried_out
from nptables.sources import Place
from nptables.tracing import missing_tables
from nptables.translation.owned import holds_service_chains

Command = TypeVar("Command", bound=Callable[..., Any])
PlaceOf = Callable[[tuple[str, str]], Place | None]


def effects_option(command: Command) -> Command:
    """`--effects`."""
    return click.option(
        "--effects",
        is_flag=True,
        help="Say what packets notice instead of which rules differ: whose fare differently, and "
        "how.",
    )(command)


def of_inputs(before: Inputs, after: Inputs, plan: Plan) -> Effects:
    """What packets notice where a node has the rules of one input, then those of another."""
    return compare_effects(
        NodeState(plan.before, before.node, before.cluster, before.config, supposed=True),
        NodeState(plan.desired, after.node, after.cluster, after.config, supposed=True),
    )


def of_dump(plan: Plan, inputs: Inputs, beside: Sequence[Ruleset]) -> Effects:
    """What packets notice where a plan is carried out on the node of a dump.

    `beside` are the tables of the other backend, which no plan touches. A table that the dump
    lacks may be there all the same.
    """
    missing = missing_tables((plan.before, *beside))
    return _of_plan(plan, inputs, beside=beside, unknown_tables=missing)


def _of_plan(
    plan: Plan,
    inputs: Inputs,
    *,
    beside: Sequence[Ruleset] = (),
    unread: str = "",
    unknown_tables: Collection[str] = (),
) -> Effects:
    state = NodeState(
        (plan.before, *beside),
        inputs.node,
        inputs.cluster,
        inputs.config,
        unread=unread,
        unknown_tables=unknown_tables,
    )
    after = attrs.evolve(state, rules=(carried_out(plan), *beside), supposed=True)
    return compare_effects(state, after)


def of_live(plan: Plan, inputs: Inputs) -> Effects:
    """What packets notice where a plan is carried out on this node.

    They meet the rules of both backends, whichever the plan is for.
    """
    from nptables.kernel.node.unseen import rules_met  # noqa: PLC0415 (a dump needs no kernel)

    try:
        met = rules_met(plan.family)
    except KernelError:
        return _of_plan(plan, inputs)
    planned = [each for each in met.rulesets if holds_service_chains(each)]
    if len(planned) != 1:
        # Which of them the plan is about is seen from what it begins with.
        planned = [each for each in met.rulesets if each.tables == plan.before.tables]
    if len(planned) != 1:
        return _of_plan(plan, inputs, unread=met.unread)
    beside = tuple(each for each in met.rulesets if each is not planned[0])
    whole = diff(planned[0], plan.desired, ownership=plan.ownership)
    return _of_plan(whole, inputs, beside=beside, unread=met.unread)


def print_effects(parts: Iterable[Effects], output: str, place: PlaceOf) -> int:
    """Print what packets notice, of both families as one; 1 where they do, or it is not known."""
    return print_effects_of_sets([(each, place) for each in parts], output)


def print_effects_of_sets(parts: Sequence[tuple[Effects, PlaceOf]], output: str) -> int:
    """Print what packets notice of several differences, each with where its objects stand."""
    found = Effects.joined(tuple(each for each, _ in parts))
    if output == "json":
        print_json(found.to_json())
    elif output == "github":
        for each, place in parts:
            annotate(each, place)
    else:
        for text in sentences((*found.effects, *found.unknown)):
            click.echo(text)
    say_summary([found])
    return 1 if found or found.unknown else 0


def annotate(found: Effects, place: PlaceOf) -> None:
    """Annotations for a workflow: an effect each, where the object stands that makes it."""
    for level, listed in (("warning", found.effects), ("notice", found.unknown)):
        for effect in listed:
            namespace, _, name = effect.service.partition("/")
            file, number, _ = place((namespace, name)) or (None, None, None)
            text = sentence(effect)
            title = "nptables effect"
            click.echo(workflow_command(level, text, title=title, file=file, line=number))


def say_summary(parts: Iterable[Effects], *, hint: str = "") -> None:
    """One line that counts effects and cosmetic changes."""
    found = Effects.joined(tuple(parts))
    more = f" ({hint})" if hint and found.effects else ""
    say(f"{summary(found)}{more}")


def say_effects(parts: Iterable[Effects], most: int = 20) -> None:
    """The effects themselves as notes, the first of them where there are many."""
    found = Effects.joined(tuple(parts))
    told = list(sentences(found.effects))
    say_all(told[:most], kind="effect")
    if len(told) > most:
        say(f"{len(told) - most} more: --dry-run --effects shows all of them")
