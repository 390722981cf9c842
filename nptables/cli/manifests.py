"""The manifests that a command line names, read with its options, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable

import click

from nptables.answering.unknown import say_unknown
from nptables.cli.bundles import mention_limits
from nptables.cli.clusters import is_current_there, read_cluster
from nptables.cli.memory import kept_to_the_end, never_freed
from nptables.cli.output import say, say_all, yaml_progress
from nptables.cli.settings import asked_cluster, setting
from nptables.cli.streams import piped_in
from nptables.errors import InvalidInput
from nptables.model import Cluster
from nptables.sources import Loaded, Sets, load_sets
from nptables.sources.ranges import NODE_PORT_RANGE, Ranges

_STANDARD_INPUT = "-"
NO_INPUT = "no input: name a FILE, or '-' for standard input"
# For these parameters `-` is standard output.
_WRITTEN = ("output", "write_baseline")
_MOST_PREVIEWS = 20


def names_a_cluster(files: tuple[str, ...], more_files: tuple[str, ...]) -> bool:
    """Whether the command line says where the cluster is: in FILEs, or behind an API server."""
    return bool(files or more_files or asked_cluster())


def read_manifests(
    files: tuple[str, ...], more_files: tuple[str, ...], *, lenient: bool, nothing: str = NO_INPUT
) -> Loaded:
    """The manifests, or the cluster, of a command line; of a tree, the only set that it holds.

    Raises InvalidInput with every problem unless `lenient`, which says them as warnings, and
    UsageError with the words `nothing` where there is no input.
    """
    sets = read_sets(files, more_files, lenient=lenient, nothing=nothing)
    loaded = sets.only
    say_all((str(one) for one in sets.left_out), kind="warning")
    if not loaded.usable:
        raise InvalidInput(loaded.problems)
    say_what_was_read(loaded)
    mention_limits(loaded)
    return loaded


def read_sets(
    files: tuple[str, ...], more_files: tuple[str, ...], *, lenient: bool, nothing: str = NO_INPUT
) -> Sets:
    """What a command line names, set by set; notes report what was skipped.

    Where it names nothing that is what is piped in, else the cluster of the current context.
    """
    paths = (*files, *more_files)
    asked = asked_cluster()
    if asked and paths:
        raise click.UsageError("a cluster and FILEs together: name one of the two")
    if not (asked or paths) and not _is_taken() and piped_in():
        paths = (_STANDARD_INPUT,)
    if not paths:
        if not (asked or is_current_there()):
            raise click.UsageError(
                f"{nothing}; there is no kubeconfig either, so no cluster can be read"
            )
        return Sets((read_cluster(asked),))
    sets = _read_files(paths, lenient=lenient)
    never_freed(sets)
    say_all((str(one) for one in sets.passed_over if one.grave), kind="warning")
    say_all(sets.notes, kind="note")
    if is_verbose():
        say_all((f"skipped: {one}" for one in sets.passed_over if not one.grave), kind="note")
    elif counted := sets.counted():
        say(f"skipped: {counted}; -v lists them")
    return sets


def is_verbose() -> bool:
    """Whether the command line asks for more words."""
    return bool(setting("verbose"))


def _is_taken() -> bool:
    """Whether another option reads standard input."""
    found = click.get_current_context().params
    return any(value == _STANDARD_INPUT for name, value in found.items() if name not in _WRITTEN)


def say_what_was_read(loaded: Loaded) -> None:
    """Report likely mistakes in one input, and the values that were invented for it."""
    say_all(loaded.problems, kind="warning")
    if len(loaded.previews) > _MOST_PREVIEWS and loaded.name and not is_verbose():
        say(
            f"{len(loaded.previews)} values are invented for objects that were never applied "
            "(-v lists them)"
        )
    else:
        say_all(loaded.previews, kind="note")
    if is_verbose() and loaded.ignored:
        counted = (f"{count} {kind}" for kind, count in sorted(loaded.ignored.items()))
        say(f"skipped, because they affect no rule: {', '.join(counted)}")


def say_what_is_unknown(clusters: Iterable[Cluster]) -> None:
    """What the input does not tell of the endpoints of Services: see `say_unknown`."""
    say_unknown(clusters, say, each=is_verbose())


def asked_node_ports() -> tuple[int, int]:
    """The first and the last node port of the cluster, as --node-port-range says."""
    ranges = Ranges.parse(node_port_range=setting("node_port_range") or NODE_PORT_RANGE)
    return ranges.first_port, ranges.last_port


def _read_files(paths: tuple[str, ...], *, lenient: bool) -> Sets:
    with yaml_progress() as progress, kept_to_the_end():
        return load_sets(
            *paths,
            lenient=lenient,
            preview=not setting("no_preview"),
            service_cidrs=setting("service_cidrs") or (),
            node_port_range=setting("node_port_range") or NODE_PORT_RANGE,
            exclude=setting("exclude") or (),
            render=not setting("no_render"),
            values=setting("values") or (),
            progress=progress,
        )
