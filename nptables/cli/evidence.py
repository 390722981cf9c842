"""What a node has, as the command line names it: `--snapshot FILE`, or `--live` for this node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from nptables.cli.completion import FILE
from nptables.cli.output import say_all, yaml_progress
from nptables.family import Family
from nptables.immutable import frozen

if TYPE_CHECKING:
    from nptables.answering.evidence import NodeHas

Command = TypeVar("Command", bound=Callable[..., Any])


@frozen
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

    def read(self, family: Family | None = None) -> NodeHas:
        """What the node has, and on standard error what could not be read of it.

        `family` is the one that is needed, and that of rules in a file that do not tell theirs;
        None for both. Raises InvalidInput, and what
        `kernel.snapshot.take` raises.
        """
        from nptables.answering.evidence import NodeHas  # noqa: PLC0415 - for this alone

        if self.path is not None:
            # It knows every form that there is, which takes its time to import.
            from nptables.sources.evidence import read_evidence  # noqa: PLC0415

            node = self.node or click.get_current_context().params.get("node_name") or ""
            with yaml_progress() as progress:
                found = read_evidence(self.path, family, node=node, progress=progress)
        else:
            from nptables.kernel.snapshot import take  # noqa: PLC0415 (a file needs no kernel)
            from nptables.sources import parse_config  # noqa: PLC0415

            found = take(
                families=tuple(Family) if family is None else (family,),
                backend=self.backend,
                read_yaml=parse_config,
            )
        say_all((str(gap) for gap in found.gaps), kind="warning" if self.live else "note")
        return NodeHas(found, self.path, self.backend, here=self.live)


def evidence_options(
    what: str, *, formerly: str = "--current", whole: bool = False
) -> Callable[[Command], Command]:
    """`--snapshot`, `--live` and `--backend`; the command gets `node_has`, which is a Named.

    `what` says what is done with it; `formerly` is the name that `--snapshot` had before. A command
    that needs all rules of the node, and refuses a part of them, takes it `whole`.
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
                f"iptables-save or `iptables -nvL`{'' if whole else ', or a part of it'}; or a "
                "bundle: a sos report, a log collection of EKS or Rancher, a support bundle; '-' "
                "for standard input.",
            ),
        ):
            decorated = option(decorated)
        return decorated

    return decorate
