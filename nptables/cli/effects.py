"""What packets notice, on the command line: `--effects`, and the line that counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from nptables.answering.effects import of_plan
from nptables.cli.forms import FORMS, print_lines
from nptables.cli.forms.form import Noticed, sentences_of
from nptables.cli.options import Inputs
from nptables.cli.output import print_json, say, say_all
from nptables.cli.settings import asked_namespace, asks_for_all_namespaces
from nptables.effects import Effects
from nptables.effects.words import sentences, summary
from nptables.errors import KernelError
from nptables.evidence import Evidence, Form
from nptables.evidence.backends import service_ruleset
from nptables.iptables.changes import diff

if TYPE_CHECKING:
    from nptables.kernel.change import NodeChange

Command = TypeVar("Command", bound=Callable[..., Any])


def effects_option(command: Command) -> Command:
    """`--effects`."""
    return click.option(
        "--effects",
        is_flag=True,
        help="Report whose packets are treated differently, and how, instead of which rules "
        "differ.",
    )(command)


def of_change(change: NodeChange, inputs: Inputs) -> Effects:
    """What packets notice where a change of this node is carried out."""
    from nptables.kernel.snapshot import take  # noqa: PLC0415 (a dump needs no kernel)

    plan = change.plan
    try:
        evidence = take(families=(plan.family,))
    except KernelError:
        # What the change was made from has to do.
        evidence = Evidence(Form.SNAPSHOT, (plan.before,))
        return of_plan(plan, inputs, evidence)
    backend = "nft" if change.backend.name == "nft" else "legacy"
    whole = diff(
        service_ruleset(evidence, plan.family, backend), plan.desired, ownership=plan.ownership
    )
    return of_plan(whole, inputs, evidence)


def print_effects(parts: Sequence[Noticed], output: str) -> int:
    """Print what packets notice, of all parts as one; 1 where they do, or it is not known."""
    parts = [attrs.evolve(part, effects=_shown(part.effects)) for part in parts]
    found = Effects.joined(tuple(part.effects for part in parts))
    form = FORMS.get(output)
    if output == "json":
        print_json(found.to_json())
    elif form is not None and form.effects is not None:
        print_lines(form.effects(parts))
    else:
        print_lines(sentences_of(parts, lambda each: (*each.effects, *each.unknown)))
    say_summary([found])
    return 1 if found or found.unknown else 0


def _shown(found: Effects) -> Effects:
    """The effects on the Services of the namespace that -n names, or all without it."""
    namespace = None if asks_for_all_namespaces() else asked_namespace()
    if namespace is None:
        return found
    start = f"{namespace}/"
    return attrs.evolve(
        found,
        effects=tuple(each for each in found.effects if each.service.startswith(start)),
        unknown=tuple(each for each in found.unknown if each.service.startswith(start)),
    )


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
