"""Trees of manifests to the clusters that they describe, one for each set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from nptables.errors import Problem, printable
from nptables.model.workloads import Workload, read_workloads
from nptables.sources.assembly import Item, Options
from nptables.sources.loading import (
    KEPT_TEXT,
    Loaded,
    collector_paused,
    finished,
    hints,
    load,
    stands_for_a_tree,
)
from nptables.sources.slots import NODE_PORT_RANGE, SERVICE_CIDRS, Ranges
from nptables.sources.text import Document, parse_text, read_inputs
from nptables.sources.text.document import Progress
from nptables.sources.trees import LeftOut, Part, PassedOver, Wanted, arrange
from nptables.sources.trees.reading import TEMPLATE, has_placeholder


@attrs.frozen
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
            listed = ", ".join(printable(one.name) for one in found[:8])
            more = f" and {len(found) - 8} more" if len(found) > 8 else ""
            return Problem(
                f"there are {len(found)} sets, each a cluster of its own: {listed}{more}",
                hint="name one of them",
            )
        first = self.left_out[0]
        return Problem(first.reason, file=first.name)

    def words(self) -> tuple[str, ...]:
        """What is to be said of the reading, without what was passed over."""
        grave = [str(one) for one in self.passed_over if one.grave]
        return (*(str(one) for one in self.left_out), *grave, *self.notes)

    def counted(self) -> str:
        """How many files were passed over, by reason, or an empty string."""
        counts = Counter(_short(one.reason) for one in self.passed_over if not one.grave)
        total = sum(counts.values())
        if not total:
            return ""
        files = "1 file" if total == 1 else f"{total} files"
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
        return Sets((loaded,))
    options = Options(
        lenient=lenient, preview=preview, ranges=Ranges.parse(service_cidrs, node_port_range)
    )
    with collector_paused():
        return _load(
            [os.fspath(path) for path in paths],
            options,
            Wanted(tuple(exclude), render, tuple(values)),
            progress,
        )


def _load(paths: list[str], options: Options, wanted: Wanted, progress: Progress | None) -> Sets:
    paths = [path.rstrip("/") or path for path in paths]
    folders = [path for path in paths if stands_for_a_tree(path)]
    plain: dict[str, list[Document]] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    for found in read_inputs(*(path for path in paths if path not in folders)):
        if isinstance(found, Problem):
            problems.append(found)
            continue
        documents, wrong = parse_text(found, progress)
        problems += wrong
        notes += hints(found, documents)
        plain.setdefault(found.name, []).extend(documents)
    arrangement = arrange(list(dict.fromkeys(folders)), plain, wanted, progress)
    notes += arrangement.notes
    loaded = _judged(arrangement.parts, options)
    passed_over = list(arrangement.passed_over)
    for one in loaded:
        passed_over += [PassedOver(place, TEMPLATE) for place in one.templates]
    left_out = arrangement.left_out
    if not loaded and not left_out and not problems:
        if any(one.reason == TEMPLATE for one in passed_over):
            left_out = [_templates_only(folders)]
        else:
            problems = [_nothing(folders, passed_over)]
    return Sets(
        judged=tuple(one for one in loaded if one.problems or one.has_services),
        idle=tuple(one for one in loaded if not (one.problems or one.has_services)),
        left_out=tuple(left_out),
        passed_over=tuple(passed_over),
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _judged(parts: list[Part], options: Options) -> list[Loaded]:
    flat = [[Item(document.value, document) for document in part.documents] for part in parts]
    workloads = [_workloads(items) for items in flat] if len(parts) > 1 else [()]
    loaded = []
    for number, part in enumerate(parts):
        others = (w for i, listed in enumerate(workloads) if i != number for w in listed)
        files = dict.fromkeys(document.file for document in part.documents)
        size = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
        loaded.append(
            finished(
                flat[number],
                [*part.problems, *_only_lists(part, flat[number])],
                [],
                options,
                files=files,
                with_places=size <= KEPT_TEXT,
                name=part.name,
                elsewhere=tuple(others),
                lacking=part.lacking,
                scattered=part.scattered,
                is_template=_is_template,
            )
        )
    return loaded


def _only_lists(part: Part, items: list[Item]) -> list[Problem]:
    """The problem with a set of empty lists: an account that may not list gets the same."""
    if not items or any(True for item in items for _ in item.flattened()):
        return []
    return [
        Problem(
            "holds an empty list, so there is nothing to look at",
            hint="an account without the right to read them may get it too: "
            "try kubectl auth can-i list services -A",
            file=part.documents[0].file,
        )
    ]


def _workloads(items: list[Item]) -> tuple[Workload, ...]:
    return tuple(
        workload
        for item in items
        for inner in item.flattened()
        if isinstance(inner.value, Mapping)
        for workload in read_workloads(inner.value)
    )


def _is_template(item: Item, problem: Problem) -> bool:
    """Whether the field that is wrong is for another program to fill in."""
    value: Any = item.value
    for step in problem.path:
        if has_placeholder(step):
            return True
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
    return has_placeholder(value)


def _templates_only(folders: list[str]) -> LeftOut:
    """Why nothing is judged of folders that hold templates and nothing else."""
    above = (folder for path in folders for folder in Path(path).absolute().parents)
    chart = next((folder for folder in above if (folder / "Chart.yaml").is_file()), None)
    return LeftOut(
        ", ".join(folders),
        "it holds templates, which another program has to fill in first"
        if chart is None
        else f"it holds templates of a chart: name the folder of the chart, {chart}",
    )


def _nothing(folders: list[str], passed_over: list[PassedOver]) -> Problem:
    count = len(passed_over)
    said = "1 file was passed over" if count == 1 else f"{count} files were passed over"
    files = f": {said}" if count else ""
    return Problem(
        f"there is no Kubernetes object in it{files}",
        hint="-v lists them" if passed_over else "a Service, EndpointSlice or Node as YAML or JSON",
        file=folders[0] if len(folders) == 1 else None,
    )
