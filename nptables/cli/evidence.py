"""What a node has, as the command line names it: `--snapshot FILE`, or `--live` for this node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
import click

from nptables.cli.completion import FILE
from nptables.cli.output import say, say_all, yaml_progress
from nptables.errors import AmbiguousBackend, InvalidInput, Problem
from nptables.family import Family
from nptables.sources import parse_config

if TYPE_CHECKING:
    from nptables.evidence import Evidence
    from nptables.iptables import Ruleset

Command = TypeVar("Command", bound=Callable[..., Any])
Found = TypeVar("Found")

_OPTIONS = {Family.IPV4: "-4", Family.IPV6: "-6"}


@attrs.frozen(eq=False, repr=False)
class Named:
    """Where a command is to find what a node has: a file, this node, or nowhere.

    `backend` says which tables are kube-proxy's: auto, legacy or nft. `node` is the one that is
    meant where a bundle has several, if it is not that of `--node`.
    """

    path: str | None = None
    live: bool = False
    backend: str = "auto"
    node: str = ""

    def __bool__(self) -> bool:
        return self.live or self.path is not None

    def read(self, family: Family | None = None) -> Evidence:
        """What the node has, and on standard error what could not be read of it.

        `family` is the one that is needed, and that of rules in a file that do not tell theirs;
        None for both. Raises InvalidInput, and what
        `kernel.snapshot.take` raises.
        """
        if self.path is not None:
            # It knows every form that there is, which takes its time to import.
            from nptables.sources.evidence import read_evidence  # noqa: PLC0415

            node = self.node or click.get_current_context().params.get("node_name") or ""
            with yaml_progress() as progress:
                found = read_evidence(self.path, family, node=node, progress=progress)
        else:
            from nptables.kernel.snapshot import take  # noqa: PLC0415 (a file needs no kernel)

            found = take(
                families=tuple(Family) if family is None else (family,),
                backend=self.backend,
                read_yaml=parse_config,
            )
        say_all((str(gap) for gap in found.gaps), kind="warning" if self.live else "note")
        return found

    def read_whole(self, family: Family | None = None) -> Evidence:
        """As `read`, for whoever compares: a part is refused. Raises InvalidInput for one."""
        found = self.read(family)
        if is_part(found):
            raise InvalidInput([
                Problem(
                    "holds a part of a node's rules, and what is not in it cannot be compared",
                    hint="take everything: `nptables snapshot`, or `iptables-save` as root",
                    file=self.path,
                )
            ])  # fmt: skip
        return found

    def serving(self, evidence: Evidence, family: Family, *, strict: bool = True) -> Ruleset:
        """The ruleset for Services in what was read. Raises InvalidInput, with the file."""
        from nptables.evidence.serving import (  # noqa: PLC0415 - where there is evidence
            TWO_BACKENDS,
            both_in_use,
            serving,
        )

        try:
            current = serving(evidence, family, self.backend, strict=strict)
        except InvalidInput as error:
            if self.live and error.problems[0].code == TWO_BACKENDS:
                raise AmbiguousBackend(both_in_use(family)) from None
            raise _about(self.path, error) from None
        if current.remarks.legacy_left_out and len(evidence.of(family)) == 1:
            say(
                f"{self.path} leaves out the legacy tables, which are not looked at", kind="warning"
            )
        return current


def evidence_options(what: str, *, formerly: str = "--current") -> Callable[[Command], Command]:
    """`--snapshot`, `--live` and `--backend`; the command gets `node_has`, which is a Named.

    `what` says what is done with it; `formerly` is the name that `--snapshot` had before.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_named(*, snapshot: str | None, live: bool, backend: str, **options: Any) -> Any:
            if live and snapshot is not None:
                raise click.UsageError("--live and --snapshot cannot be used together")
            return command(node_has=Named(snapshot, live, backend), **options)

        decorated = cast("Command", with_named)
        for option in (
            click.option(
                "--backend",
                type=click.Choice(["auto", "legacy", "nft"]),
                default="auto",
                show_default=True,
                help="With --snapshot or --live: the iptables backend that kube-proxy uses.",
            ),
            click.option(
                "--live", is_flag=True, help=f"{what} what this node has now. Needs root."
            ),
            click.option(formerly, "snapshot", type=FILE, metavar="FILE", hidden=True),
            click.option(
                "--snapshot",
                type=FILE,
                metavar="FILE",
                help=f"{what} what a node has, in this file: the output of `nptables snapshot`, "
                "iptables-save or `iptables -nvL`, or a part of it; or a bundle: a sos report, a "
                "log collection of EKS or Rancher, a support bundle; '-' for standard input.",
            ),
        ):
            decorated = option(decorated)
        return decorated

    return decorate


def families_of(evidence: Evidence, asked: Family | None, path: str | None) -> tuple[Family, ...]:
    """The families to look at: the one that was asked for, else those that there are tables of.

    That a file has IPv6 alone is said, for whoever did not ask for it. Raises InvalidInput where it
    has not the one that was asked for.
    """
    found = evidence.families
    if asked is None:
        if found == (Family.IPV6,) and path is not None:
            say(f"{path}: these are rules of ip6tables: read as IPv6 ({_OPTIONS[Family.IPV6]})")
        return found or (Family.IPV4,)
    if len(found) == 1 and asked not in found:
        raise InvalidInput([
            Problem(
                f"these are rules of {found[0].value}, and {asked.value} was asked for",
                hint=f"{_OPTIONS[found[0]]}, and addresses of {found[0].value}, go with this "
                f"{evidence.form.value}",
                file=path,
            )
        ])  # fmt: skip
    return (asked,)


def is_part(evidence: Evidence) -> bool:
    """Whether there may be more rules in tables that are there than those that are shown."""
    from nptables.evidence import Form  # noqa: PLC0415 - who has evidence has imported it

    return evidence.form is Form.FRAGMENT or any(r.unshown.open for r in evidence.rulesets)


def in_file(path: str | None, act: Callable[[], Found]) -> Found:
    """What `act` gives; its problems are about the file, where there is one."""
    try:
        return act()
    except InvalidInput as error:
        raise _about(path, error) from None


def _about(path: str | None, error: InvalidInput) -> InvalidInput:
    return InvalidInput([attrs.evolve(p, file=p.file or path) for p in error.problems])
