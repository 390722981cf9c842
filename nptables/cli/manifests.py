"""The manifests that a command line names, read with its options, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from nptables.cli.output import say, say_all, yaml_progress
from nptables.errors import InvalidInput
from nptables.model import Cluster
from nptables.sources import Loaded, Sets, load_objects, load_sets
from nptables.sources.slots import NODE_PORT_RANGE
from nptables.translation.explanation.unknown import unknown_endpoints

# Where the options of the reading are kept in the context of a command.
SETTINGS = "nptables.manifests"
_MOST_PREVIEWS = 20


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = click.get_current_context().meta.get(SETTINGS, {})
    return found


def names_a_cluster(files: tuple[str, ...], more_files: tuple[str, ...]) -> bool:
    """Whether the command line says where the cluster is: in FILEs, or behind an API server."""
    settings = _settings()
    asked = settings.get("kubeconfig"), settings.get("context")
    return bool(files or more_files) or asked != (None, None)


def read_manifests(files: tuple[str, ...], more_files: tuple[str, ...], *, lenient: bool) -> Loaded:
    """The manifests, or the cluster, of a command line; of a tree, the only set that it holds.

    Raises InvalidInput with every problem unless `lenient`, which says them as warnings.
    """
    sets = read_sets(files, more_files, lenient=lenient)
    loaded = sets.only
    say_all((str(one) for one in sets.left_out), kind="warning")
    if not loaded.usable:
        raise InvalidInput(loaded.problems)
    say_what_was_read(loaded)
    return loaded


def read_sets(files: tuple[str, ...], more_files: tuple[str, ...], *, lenient: bool) -> Sets:
    """What a command line names, set by set, and what was passed over said."""
    settings = _settings()
    paths = (*files, *more_files)
    kubeconfig, context = settings.get("kubeconfig"), settings.get("context")
    if kubeconfig is not None or context is not None:
        if paths:
            raise click.UsageError("a cluster and FILEs together: name one of the two")
        return Sets((_read_cluster(kubeconfig, context),))
    if not paths:
        raise click.UsageError("no input: name a FILE, or '-' for standard input")
    sets = _read_files(paths, settings, lenient=lenient)
    say_all((str(one) for one in sets.passed_over if one.grave), kind="warning")
    say_all(sets.notes, kind="note")
    if is_verbose():
        say_all((f"passed over: {one}" for one in sets.passed_over if not one.grave), kind="note")
    elif counted := sets.counted():
        say(f"passed over: {counted}; -v lists them")
    return sets


def is_verbose() -> bool:
    """Whether the command line asks for more words."""
    return bool(_settings().get("verbose"))


def say_what_was_read(loaded: Loaded) -> None:
    """Say what is odd about one input, and what was made up for it."""
    say_all(loaded.problems, kind="warning")
    if len(loaded.previews) > _MOST_PREVIEWS and loaded.name and not is_verbose():
        say(f"{len(loaded.previews)} values are made up for what was never applied (-v lists them)")
    else:
        say_all(loaded.previews, kind="note")
    if is_verbose() and loaded.ignored:
        counted = (f"{count} {kind}" for kind, count in sorted(loaded.ignored.items()))
        say(f"passed over, because they decide no rule: {', '.join(counted)}")


def say_what_is_unknown(clusters: Iterable[Cluster]) -> None:
    """One line about the Services whose endpoints the input does not tell."""
    found = [
        ("/".join(key), why) for one in clusters for key, why in unknown_endpoints(one).items()
    ]
    if is_verbose():
        say_all(
            (f"the endpoints of Service {name} are not known: {why}" for name, why in found),
            kind="note",
        )
    elif len(found) == 1:
        say(f"the endpoints of Service {found[0][0]} are not known: {found[0][1]}")
    elif found:
        reasons = {why for _, why in found}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        listed = ", ".join(name for name, _ in found[:4]) + (", ..." if len(found) > 4 else "")
        say(f"the endpoints of {len(found)} Services are not known ({listed}; -v says why){why}")


def _read_files(paths: tuple[str, ...], settings: dict[str, Any], *, lenient: bool) -> Sets:
    with yaml_progress() as progress:
        return load_sets(
            *paths,
            lenient=lenient,
            preview=not settings.get("no_preview"),
            service_cidrs=settings.get("service_cidrs") or (),
            node_port_range=settings.get("node_port_range") or NODE_PORT_RANGE,
            exclude=settings.get("exclude") or (),
            render=not settings.get("no_render"),
            values=settings.get("values") or (),
            progress=progress,
        )


def _read_cluster(kubeconfig: str | None, context: str | None) -> Loaded:
    from nptables.sources.cluster import fetch  # noqa: PLC0415 - only where a cluster is asked

    return load_objects(fetch(kubeconfig=kubeconfig, context=context), lenient=True, listed=True)
