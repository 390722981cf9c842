"""Paths to sets: what folders hold is read, rendered where a program has to, and put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import attrs

from nptables.errors import Problem, printable
from nptables.immutable import frozen
from nptables.model.kinds import VERSIONS
from nptables.model.workloads import pod_templates
from nptables.sources.text import Document
from nptables.sources.trees import charts, kustomizations
from nptables.sources.trees.grouping import Member, group
from nptables.sources.trees.kustomizations import Built, Kustomization
from nptables.sources.trees.programs import Failure, helm_program, kustomize_program
from nptables.sources.trees.reading import PATCH, TEMPLATE, is_patch, read_file
from nptables.sources.trees.walking import PassedOver, Tree, walk

Progress = Callable[[str, int, int], None]
_FILES_PER_REPORT = 100
_AT_ONCE = 2


@frozen
class Wanted:
    """How folders are read: what is left out, whether programs may run, values for charts."""

    exclude: tuple[str, ...] = ()
    render: bool = True
    values: tuple[str, ...] = ()


@frozen
class Part:
    """One set: the documents that belong together, and what is wrong with them.

    `lacking` says what is not in it that may well have the Pods of a Service, `scattered` that
    nothing but the tree holds its files together.
    """

    name: str
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...] = ()
    lacking: str = ""
    scattered: bool = False


@frozen
class LeftOut:
    """A set that was not judged, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.name)} is left out: {self.reason}"


@attrs.define
class Arrangement:
    """All that folders hold."""

    parts: list[Part] = attrs.field(factory=list)
    left_out: list[LeftOut] = attrs.field(factory=list)
    passed_over: list[PassedOver] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)


def arrange(
    folders: Sequence[str],
    plain: Mapping[str, Sequence[Document]],
    wanted: Wanted,
    progress: Progress | None = None,
) -> Arrangement:
    """The sets of folders, or files that head one; `plain` are files that were named alone."""
    arrangement = Arrangement()
    trees = []
    for folder in folders:
        is_folder = os.path.isdir(folder)
        trees.append(walk(folder, wanted.exclude) if is_folder else _only_head(folder))
    owned: set[str] = set()
    _kustomizations(trees, wanted, arrangement, owned, progress)
    _charts(trees, wanted, arrangement, owned)
    # Files that were named besides a set that has them are judged with it.
    inside = owned if not arrangement.left_out else set()
    found = {
        name: list(documents)
        for name, documents in plain.items()
        if os.path.realpath(name) not in inside
    }
    for tree in trees:
        arrangement.passed_over += tree.passed_over
        found.update(_plain(tree, owned, arrangement, progress))
    arrangement.parts += _grouped(found, [tree.root for tree in trees], arrangement.problems)
    if why := _lacking(arrangement):
        arrangement.parts = [
            attrs.evolve(part, lacking=part.lacking or why) for part in arrangement.parts
        ]
    arrangement.parts.sort(key=lambda part: part.name)
    return arrangement


def _lacking(arrangement: Arrangement) -> str:
    """What of the tree was not read and may have the Pods of a Service."""
    if arrangement.left_out:
        return f"{printable(arrangement.left_out[0].name)}, which may make its Pods, is left out"
    templates = [one.path for one in arrangement.passed_over if one.reason == TEMPLATE]
    return f"{printable(templates[0])}, which may make its Pods, is a template" if templates else ""


def _only_head(file: str) -> Tree:
    """The folder of a kustomization or chart that was named by its file, and nothing else of it."""
    folder = os.path.dirname(file) or "."
    tree = Tree(folder, folders={folder: frozenset({os.path.basename(file)})})
    if os.path.basename(file) != charts.NAME and kustomizations.read_kustomization(file) is None:
        tree.files.append(file)
    return tree


def _kustomizations(
    trees: Sequence[Tree],
    wanted: Wanted,
    arrangement: Arrangement,
    owned: set[str],
    progress: Progress | None,
) -> None:
    known: dict[str, Kustomization] = {}
    listed: list[Kustomization] = []
    for tree in trees:
        for folder, names in tree.folders.items():
            if os.path.realpath(folder) in known:
                continue
            file = kustomizations.file_of(folder, names)
            read = kustomizations.read_kustomization(file) if file else None
            if read is not None:
                known[os.path.realpath(folder)] = read
                listed.append(read)
                owned.add(os.path.realpath(read.file))
    parts = {one.file: kustomizations.closure(one, known) for one in listed}
    used = {folder for one in known.values() for folder in one.folders}
    owned.update(file for one in known.values() for file in one.files)
    roots = [
        one for one in listed if not one.is_component and os.path.realpath(one.folder) not in used
    ]
    reached = {os.path.realpath(part.folder) for one in roots for part in parts[one.file]}
    arrangement.left_out += [
        LeftOut(one.folder, "it refers back to itself through other kustomizations")
        for one in listed
        if not one.is_component and os.path.realpath(one.folder) not in reached
    ]
    if not roots:
        return
    command = kustomize_program() if wanted.render else None
    if command is None:
        why = (
            "neither kustomize nor kubectl is installed to build it"
            if wanted.render
            else "--no-render"
        )
        arrangement.left_out += [LeftOut(one.folder, why) for one in roots]
        return
    ready = command

    def built(one: Kustomization) -> Built | Problem | Failure:
        return kustomizations.build(ready, one, parts[one.file])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, one, result in zip(count(1), roots, pool.map(built, roots), strict=False):
            if progress is not None and len(roots) > _AT_ONCE:
                progress("kustomizations", number, len(roots))
            if isinstance(result, Built):
                arrangement.notes += [
                    f"{printable(one.folder)}: {printable(name)} is remote and was not fetched: "
                    "the set is judged without it"
                    for name in result.remote
                ]
                why = "part of the set is remote" if result.remote else ""
                arrangement.parts.append(Part(one.folder, tuple(result.documents), lacking=why))
            else:
                _keep_failure(one.folder, result, arrangement)


def _charts(
    trees: Sequence[Tree], wanted: Wanted, arrangement: Arrangement, owned: set[str]
) -> None:
    named = [f for tree in trees for f, names in tree.folders.items() if charts.NAME in names]
    folders = list({os.path.realpath(folder): folder for folder in reversed(named)}.values())
    tops = [
        folder
        for folder in folders
        if not any(_is_below(folder, os.path.join(other, "charts")) for other in folders)
    ]
    for tree in trees:
        for file in tree.files:
            if _is_of_a_chart(file, tops):
                owned.add(os.path.realpath(file))
    tops = [f for f in tops if not charts.is_library(os.path.join(f, charts.NAME))]
    if not tops:
        return
    program = helm_program() if wanted.render else None
    if program is None:
        why = "helm is not installed to render the chart" if wanted.render else "--no-render"
        arrangement.left_out += [LeftOut(folder, why) for folder in tops]
        return
    ready = program

    def rendered(folder: str) -> list[Document] | Problem | Failure:
        return charts.render(ready, folder, wanted.values)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for folder, result in zip(tops, pool.map(rendered, tops), strict=True):
            if isinstance(result, list):
                arrangement.parts.append(Part(folder, tuple(result)))
            else:
                _keep_failure(folder, result, arrangement)


def _keep_failure(name: str, result: Problem | Failure, arrangement: Arrangement) -> None:
    if isinstance(result, Failure):
        arrangement.left_out.append(LeftOut(name, result.reason))
    else:
        arrangement.parts.append(Part(name, (), (result,)))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)


def _is_of_a_chart(file: str, tops: Iterable[str]) -> bool:
    folder = os.path.dirname(file)
    for top in tops:
        if folder == top or any(
            folder == (below := os.path.join(top, name)) or _is_below(folder, below)
            for name in charts.FOLDERS
        ):
            return True
    return False


def _plain(
    tree: Tree, owned: set[str], arrangement: Arrangement, progress: Progress | None
) -> Iterator[tuple[str, list[Document]]]:
    """The objects of the files that neither a kustomization nor a chart has."""
    total = len(tree.files)
    patched = _folders_of_kustomizations(tree)
    for number, path in enumerate(tree.files):
        if progress is not None and number and not number % _FILES_PER_REPORT:
            progress(tree.root, number, total)
        if owned and os.path.realpath(path) in owned:
            continue
        found = read_file(path)
        documents = found.documents
        if documents and (os.path.dirname(path) or ".") in patched:
            documents = [document for document in documents if not is_patch(document.value)]
            if len(documents) < len(found.documents):
                arrangement.passed_over.append(PassedOver(path, PATCH))
        arrangement.passed_over += found.passed_over
        arrangement.problems += found.problems
        if documents:
            yield path, documents
    if progress is not None and total > _FILES_PER_REPORT:
        progress(tree.root, total, total)


def _folders_of_kustomizations(tree: Tree) -> set[str]:
    """The folders at or below one with a kustomization: there lie patches, named or not."""
    found: set[str] = set()
    for folder, names in tree.folders.items():
        above = os.path.dirname(folder) or "."
        if kustomizations.file_of(folder, names) or (above in found and folder != "."):
            found.add(folder)
    return found


def _grouped(
    found: Mapping[str, list[Document]], folders: Sequence[str], problems: list[Problem]
) -> Iterator[Part]:
    """The sets of plain files; what is wrong with a text is that of the set with its file."""
    paths = {_parts(path): path for path in found}
    wrong = {_parts(problem.file or ""): problem.file or "" for problem in problems}
    members = [
        Member(parts, _objects(found[path]), _claims(found[path])) for parts, path in paths.items()
    ]
    members += [Member(parts, frozenset()) for parts in wrong if parts not in paths]
    if not members:
        return
    root = _parts(folders[0]) if len(folders) == 1 else ()
    if any(member.parts[: len(root)] != root for member in members):
        root = ()
    shown = {**wrong, **paths}
    for one in group(members, root):
        files = [shown[member.parts] for member in one.members]
        documents = [document for file in files for document in found.get(file, ())]
        there = set(files)
        yield Part(
            _name(one.parts, root, files, folders),
            tuple(documents),
            tuple(problem for problem in problems if problem.file in there),
            scattered=True,
        )
    problems.clear()


def _parts(path: str) -> tuple[str, ...]:
    return tuple(os.path.abspath(path).split(os.sep)[1:])


def _name(
    parts: tuple[str, ...], root: tuple[str, ...], files: Sequence[str], folders: Sequence[str]
) -> str:
    """What the reader would call a set: a part of the path of one of its files, as it was given."""
    if parts == root and folders:
        return ", ".join(folders)
    path = files[0]
    surplus = len(_parts(path)) - len(parts)
    for _ in range(surplus):
        path = os.path.dirname(path)
    return path or "."


def _objects(documents: Iterable[Document]) -> frozenset[Hashable]:
    """The objects that cannot be twice in one cluster, as far as they decide anything here."""
    found = set()
    for document in documents:
        for raw in _opened(document.value):
            metadata = raw.get("metadata")
            metadata = metadata if isinstance(metadata, Mapping) else {}
            kind, version = raw.get("kind"), str(raw.get("apiVersion"))
            group_name = version.partition("/")[0] if kind == "Service" else ""
            if kind in VERSIONS or next(pod_templates(raw), None) is not None:
                name, namespace = metadata.get("name"), metadata.get("namespace")
                found.add((group_name, str(kind), str(namespace or "default"), str(name)))
    return frozenset(found)


def _claims(documents: Iterable[Document]) -> frozenset[Hashable]:
    """The node ports that Services ask for without saying in what namespace they are."""
    found: set[Hashable] = set()
    for document in documents:
        for raw in _opened(document.value):
            spec, metadata = raw.get("spec"), raw.get("metadata")
            if raw.get("kind") != "Service" or not isinstance(spec, Mapping):
                continue
            if isinstance(metadata, Mapping) and metadata.get("namespace"):
                continue
            ports = spec.get("ports")
            for port in ports if isinstance(ports, list) else ():
                if isinstance(port, Mapping) and isinstance(port.get("nodePort"), int):
                    found.add(("nodePort", port["nodePort"], str(port.get("protocol") or "TCP")))
    return frozenset(found)


def _opened(value: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        return
    items = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(items, list):
        for item in items:
            yield from _opened(item)
    else:
        yield value
