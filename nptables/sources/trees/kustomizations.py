"""Kustomizations: what each names, which of them stand on their own, and what they build."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from nptables.errors import InvalidInput, Path, Problem, printable
from nptables.immutable import frozen
from nptables.sources.text import Document, Input, parse_text, read_one
from nptables.sources.text.parsed import nowhere
from nptables.sources.trees.programs import Failure, output_of

# In the order of RecognizedKustomizationFileNames in kustomize's api/konfig. It refuses a folder
# with two of them.
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# What kustomize writes for `buildMetadata: [originAnnotations]`.
_ORIGIN = "config.kubernetes.io/origin"
_FOLDERS = ("resources", "bases", "components", "generators", "transformers", "validators")
_NAMED = ("resources", "bases", "components")
_GROUP = "kustomize.config.k8s.io/"
_REMOTE = re.compile(
    r"://|^git@|^git::|^[\w-]+(\.[\w-]+)*\.(com|org|io|net|dev|sh)[/:]|\?ref=|\.git(//|$)"
)
# How kustomize says on what way it came to what is wrong.
_NOISE = re.compile(
    r"accumulating resources(?: from '[^']*')?: |accumulation err='|"
    r"'[^']*' must resolve to a file': |recursed accumulation of path '[^']*': |\"$"
)
# What a kustomization needs of a program that is not installed: not a mistake.
_LIMITS = re.compile(
    r"plugin|--enable-helm|enable-alpha|enable-exec|helm|security; file .* is not in or below|"
    r"no such file or directory|did not finish within|cannot be started"
)


@frozen
class Kustomization:
    """One kustomization file: the folders and files that it names, as real paths, and what is far.

    `problems` is what is wrong with the file, `needs` says what would have to be there to build
    it that no manifest has, or is empty.
    """

    folder: str
    file: str
    is_component: bool = False
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    needs: str = ""


def file_of(folder: str, names: Iterable[str] | None = None) -> str | None:
    """The kustomization file of a folder, or None; `names` are the files in it, where known."""
    for name in NAMES:
        if name in names if names is not None else os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def read_kustomization(file: str) -> Kustomization | None:
    """What a kustomization file says, or None where it is none, such as one of Flux."""
    folder = os.path.dirname(file) or "."
    document, problems = _document(file)
    if document is None:
        return Kustomization(folder, file, problems=problems) if problems else None
    value: Mapping[str, Any] = document.value
    folders, files, remote, missing = [], [], [], []
    for where, text in _strings(value):
        if "\n" in text or len(text) > 1000:
            continue
        key, path = where[0], os.path.join(folder, text)
        if key in _FOLDERS and os.path.isdir(path):
            folders.append(os.path.realpath(path))
        elif os.path.isfile(path):
            files.append(os.path.realpath(path))
        elif key in _FOLDERS and _REMOTE.search(text):
            remote.append(text)
        elif key in _NAMED and len(where) == 2:
            missing.append(document.place(Problem(f"{printable(text)} is not there", path=where)))
        elif "=" in text and os.path.isfile(named := os.path.join(folder, text.split("=", 1)[1])):
            files.append(os.path.realpath(named))
    helm = any(key in value for key in ("helmCharts", "helmChartInflationGenerator"))
    return Kustomization(
        folder,
        file,
        is_component=value.get("kind") == "Component",
        folders=tuple(folders),
        files=tuple(files),
        remote=tuple(remote),
        problems=tuple(missing),
        needs="a Helm chart that it fetches" if helm else "",
    )


def _document(file: str) -> tuple[Document | None, tuple[Problem, ...]]:
    """The only document of a kustomization file, or what is wrong with it.

    Neither where the file holds objects of other groups: then it only has the name of one.
    """
    try:
        documents, problems = parse_text(read_one(file))
    except InvalidInput as error:
        return None, error.problems
    if problems:
        return None, tuple(problems)
    values = [document.value for document in documents]
    versions = [v.get("apiVersion") for v in values if isinstance(v, Mapping)]
    if any(version and not str(version).startswith(_GROUP) for version in versions):
        return None, ()
    if len(versions) == len(documents) == 1:
        return documents[0], ()
    what = "is not a kustomization: it must be one object" if documents else "is empty"
    return None, (Problem(what, file=file),)


def _strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in a document, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, str(key)))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _strings(item, (*path, position))


def closure(first: Kustomization, known: dict[str, Kustomization]) -> list[Kustomization]:
    """A kustomization and all that it stands on; `known`, by real folder, is added to."""
    found: dict[str, Kustomization] = {}
    pending = [first]
    while pending:
        one = pending.pop()
        here = os.path.realpath(one.folder)
        if here in found:
            continue
        found[here] = one
        for folder in one.folders:
            if folder not in known:
                file = file_of(folder)
                read = read_kustomization(file) if file else None
                if read is None:
                    continue
                known[folder] = read
            pending.append(known[folder])
    return list(found.values())


@frozen
class Built:
    """What a kustomization builds; `remote` is what it names and was not fetched."""

    documents: list[Document]
    remote: tuple[str, ...] = ()


def build(
    command: tuple[str, ...], first: Kustomization, parts: list[Kustomization]
) -> Built | Problem | Failure:
    """The objects of a kustomization: a Problem where it is wrong, a Failure where it cannot be."""
    for part in parts:
        if part.problems:
            return part.problems[0]
        if part.needs:
            return Failure(f"{printable(part.file)} needs {part.needs}")
    remote = list(dict.fromkeys(name for part in parts for name in part.remote))
    with tempfile.TemporaryDirectory(prefix="nptables-") as made:
        scratch = os.path.realpath(made)
        target = os.path.realpath(first.folder)
        if remote:
            copied = _without_remote(parts, scratch)
            if isinstance(copied, Failure):
                return copied
            target = os.path.join(scratch, "tree", copied.way(target))
            source = copied
        else:
            source = _Source("/", "")
        wrapper = os.path.join(scratch, "wrapper")
        os.mkdir(wrapper)
        # Notes of origin have to be asked for in the kustomization that is built. The files of the
        # user are not changed: theirs becomes the only resource of one of ours. Its path has to be
        # relative (`New` in kustomize's fileloader.go).
        wanted = {
            "apiVersion": f"{_GROUP}v1beta1",
            "kind": "Kustomization",
            "buildMetadata": ["originAnnotations"],
            "resources": [os.path.relpath(target, wrapper)],
        }
        pathlib.Path(wrapper, NAMES[0]).write_text(json.dumps(wanted), "utf-8")
        text = output_of([*command, wrapper])
        if isinstance(text, Failure) and "buildMetadata" in text.reason:
            # Older than notes of origin: the objects are the same, only their places are not known.
            text = output_of([*command, target])
        if isinstance(text, Failure):
            way = os.path.relpath(target, wrapper)
            reason = _NOISE.sub("", text.reason.replace(way, first.folder))
            reason = reason.replace(target, first.folder).replace(': "', ": ", 1)
            if remote:
                name = printable(remote[0])
                return Failure(f"{name} is remote and was not fetched, and without it {reason}")
            return Failure(reason) if _LIMITS.search(reason) else Problem(reason, file=first.file)
        documents, problems = parse_text(Input(first.file, text))
        if problems:
            return attrs.evolve(problems[0], line=None, column=None)
        places = _Sources(wrapper, source)
        placed = [places.placed(document, first) for document in documents]
    return Built(placed, tuple(remote))


@frozen
class _Source:
    """Where the files really are that a build reads: below `base`, in place of below `copy`."""

    base: str
    copy: str

    def way(self, real: str) -> str:
        """The path of a file below the base."""
        return os.path.relpath(real, self.base)

    def real(self, path: str) -> str:
        """The file that a path in the build stands for."""
        return os.path.join(self.base, os.path.relpath(path, self.copy)) if self.copy else path


def _without_remote(parts: list[Kustomization], scratch: str) -> _Source | Failure:
    """A copy of the folders of a kustomization in which nothing remote is named."""
    reals = [os.path.realpath(part.folder) for part in parts]
    reals += [file for part in parts for file in part.files]
    base = os.path.commonpath([os.path.dirname(r) if os.path.isfile(r) else r for r in reals])
    copy = os.path.join(scratch, "tree")
    for part in parts:
        here = os.path.realpath(part.folder)
        folder = os.path.join(copy, os.path.relpath(here, base))
        os.makedirs(folder, exist_ok=True)
        document, _ = _document(part.file)
        value = dict(document.value) if document is not None else {}
        for key in _FOLDERS:
            if isinstance(value.get(key), list):
                value[key] = [item for item in value[key] if item not in part.remote]
        pathlib.Path(folder, os.path.basename(part.file)).write_text(json.dumps(value), "utf-8")
        for file in part.files:
            target = os.path.join(copy, os.path.relpath(file, base))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                shutil.copyfile(file, target)
            except OSError as error:
                return Failure(f"{printable(file)} cannot be read: {error.strerror}")
    return _Source(base, copy)


class _Sources:
    """Finds the place in its source of what was built, by what the build notes of its origin."""

    def __init__(self, wrapper: str, source: _Source) -> None:
        self._wrapper = wrapper
        self._source = source
        self._read: dict[str, list[Document]] = {}

    def placed(self, document: Document, first: Kustomization) -> Document:
        """A built document with the places of its source, and without the note of its origin."""
        value, path = _without_origin(document.value)
        unplaced = attrs.evolve(document, file=first.file, value=value, locate=nowhere)
        if not path or not isinstance(value, Mapping):
            return unplaced
        built = os.path.normpath(os.path.join(self._wrapper, path))
        file = _shown(self._source.real(built), first.folder)
        found = _alike(value, self._documents(file))
        if found is None:
            return attrs.evolve(unplaced, file=file) if os.path.isfile(file) else unplaced
        return attrs.evolve(found, value=value)

    def _documents(self, file: str) -> list[Document]:
        if file not in self._read:
            try:
                self._read[file] = parse_text(read_one(file))[0]
            except InvalidInput:
                self._read[file] = []
        return self._read[file]


def _shown(real: str, folder: str) -> str:
    """A real path as the reader would write it, who named `folder`."""
    if os.path.isabs(folder):
        return real
    return os.path.relpath(real, os.path.realpath("."))


def _alike(value: Mapping[str, Any], documents: list[Document]) -> Document | None:
    """The document that an object was built from: its name may have got a prefix or a suffix."""
    same = [
        document
        for document in documents
        if isinstance(document.value, Mapping) and document.value.get("kind") == value.get("kind")
    ]
    name = _name(value)
    exact = [document for document in same if _name(document.value) == name]
    within = [document for document in same if (own := _name(document.value)) and own in name]
    found = exact or sorted(within, key=lambda document: -len(_name(document.value)))
    return found[0] if found else None


def _name(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _without_origin(value: Any) -> tuple[Any, str]:
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(annotations, Mapping):
        return value, ""
    if _ORIGIN not in annotations:
        return value, ""
    kept = {key: item for key, item in annotations.items() if key != _ORIGIN}
    bare = {key: item for key, item in metadata.items() if key != "annotations"}
    if kept:
        bare["annotations"] = kept
    lines = str(annotations[_ORIGIN]).splitlines()
    path = next((line.partition(":")[2].strip() for line in lines if line.startswith("path:")), "")
    return {**value, "metadata": bare}, path.strip("\"'")
