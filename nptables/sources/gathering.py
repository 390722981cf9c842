"""What folders hold to a cluster for each set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nptables.errors import Problem
from nptables.model.workloads import Workload, read_workloads
from nptables.sources.assembly import Item, Options
from nptables.sources.bundled import bundled
from nptables.sources.loading import (
    KEPT_TEXT,
    Loaded,
    finished,
    hints,
    nothing_in,
    stands_for_a_tree,
)
from nptables.sources.sets import Sets
from nptables.sources.text import Document, parse_text, read_inputs
from nptables.sources.text.document import Progress
from nptables.sources.trees import LeftOut, Part, PassedOver, Wanted, arrange
from nptables.sources.trees.reading import TEMPLATE, has_placeholder


def gather(
    paths: list[str],
    options: Options,
    *,
    exclude: tuple[str, ...],
    render: bool,
    values: tuple[str, ...],
    progress: Progress | None,
) -> Sets:
    """The sets that folders, and files beside them, hold; see `load_sets`."""
    wanted = Wanted(exclude, render, values)
    paths = [path.rstrip("/") or path for path in paths]
    folders = [path for path in paths if stands_for_a_tree(path)]
    plain: dict[str, list[Document]] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    found_there, others = bundled((p for p in paths if p not in folders), progress)
    problems += found_there.problems
    options = found_there.options(options)
    for document in found_there.documents:
        plain.setdefault(document.file, []).append(document)
    for found in read_inputs(*others):
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
        problems = list(part.problems)
        empty = nothing_in(flat[number], list(files)) if flat[number] and not problems else None
        if empty is not None:
            problems, flat[number] = [empty], []
        size = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
        loaded.append(
            finished(
                flat[number],
                problems,
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
    said = "1 file was skipped" if count == 1 else f"{count} files were skipped"
    files = f": {said}" if count else ""
    return Problem(
        f"there is no Kubernetes object in it{files}",
        hint="-v lists them" if passed_over else "a Service, EndpointSlice or Node as YAML or JSON",
        file=folders[0] if len(folders) == 1 else None,
    )
