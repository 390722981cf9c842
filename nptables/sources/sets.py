"""Trees of manifests to the clusters that they describe, one for each set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from nptables.errors import Problem, printable
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.sources.assembly import Options
from nptables.sources.loading import Loaded, load, stands_for_a_tree
from nptables.sources.ranges import NODE_PORT_RANGE, SERVICE_CIDRS, Ranges
from nptables.sources.text.document import Progress
from nptables.words import counted, listed

if TYPE_CHECKING:
    from nptables.sources.trees import LeftOut, PassedOver


@frozen
class Sets:
    """What paths hold: sets that are judged each by itself, and what was not judged.

    `judged` are those with a Service in them, or with a problem; the others are in `idle`.
    """

    judged: tuple[Loaded, ...]
    idle: tuple[Loaded, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def only(self) -> Loaded:
        """The one cluster that is described, for who cannot do with several.

        Its problems say so where there is none or more than one.
        """
        found = self.judged or self.idle
        if len(found) == 1 and not (self.problems or (self.left_out and not self.judged)):
            return found[0]
        problems = [*self.problems, *(problem for one in found for problem in one.problems)]
        if not problems:
            problems = [self._not_one(found)]
        return Loaded(problems=tuple(problems))

    def _not_one(self, found: tuple[Loaded, ...]) -> Problem:
        if found:
            names = listed(printable(one.name) for one in found)
            return Problem(
                f"there are {len(found)} sets, each a cluster of its own: {names}",
                hint="name one of them",
            )
        first = self.left_out[0]
        return Problem(first.reason, file=first.name)

    def words(self) -> tuple[str, ...]:
        """What is to be said of the reading, without what was skipped."""
        grave = [str(one) for one in self.passed_over if one.grave]
        return (*(str(one) for one in self.left_out), *grave, *self.notes)

    def counted(self) -> str:
        """How many files were skipped, by reason, or an empty string."""
        counts = Counter(_short(one.reason) for one in self.passed_over if not one.grave)
        total = sum(counts.values())
        if not total:
            return ""
        files = counted(total, "file")
        return f"{files} ({', '.join(f'{n} {reason}' for reason, n in counts.most_common())})"


def _short(reason: str) -> str:
    for known in ("no Kubernetes object", "a template", "is not "):
        if reason.startswith(known):
            return known.strip() if known != "is not " else "no text"
    return reason


def load_sets(
    *paths: str | os.PathLike[str],
    lenient: bool = False,
    preview: bool = True,
    service_cidrs: Iterable[str] = SERVICE_CIDRS,
    node_port_range: str = NODE_PORT_RANGE,
    exclude: Iterable[str] = (),
    render: bool = True,
    values: Iterable[str] = (),
    progress: Progress | None = None,
) -> Sets:
    """The clusters that files and folders describe.

    Args:
        paths: As for `load`; a folder is read with its sub-folders.
        lenient: As for `load`.
        preview: As for `load`.
        service_cidrs: As for `load`.
        node_port_range: As for `load`.
        exclude: Globs of what is left out of folders, compared with the path from the folder, or
            with the name where they hold no slash.
        render: Start kustomize, kubectl or helm for what they have to render.
        values: Files of values for charts.
        progress: Called now and then with a folder's name, the files read and those there are.

    Raises:
        InvalidInput: For ranges that are none.
    """
    if not any(stands_for_a_tree(path) for path in paths):
        loaded = load(
            *paths,
            lenient=lenient,
            preview=preview,
            service_cidrs=service_cidrs,
            node_port_range=node_port_range,
            progress=progress,
        )
        return Sets((attrs.evolve(loaded, notes=()),), notes=loaded.notes)
    options = Options(
        lenient=lenient, preview=preview, ranges=Ranges.parse(service_cidrs, node_port_range)
    )
    from nptables.sources.gathering import gather  # noqa: PLC0415 - seldom needed

    with collector_paused():
        return gather(
            [os.fspath(path) for path in paths],
            options,
            exclude=tuple(exclude),
            render=render,
            values=tuple(values),
            progress=progress,
        )
