"""Manifests to a cluster: everything read, checked, completed, and every problem with its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from nptables.errors import InvalidInput, Path, Problem, printable
from nptables.gcpause import collector_paused
from nptables.immutable import frozen
from nptables.model import Cluster
from nptables.model.kinds import is_empty_list
from nptables.model.usual import read_early
from nptables.sources.assembly import Item, Options, assemble
from nptables.sources.bundled import Bundled, bundled
from nptables.sources.ranges import NODE_PORT_RANGE, SERVICE_CIDRS, Ranges
from nptables.sources.text import Document, Input, parse_text, read_inputs
from nptables.sources.text.document import Progress
from nptables.words import counted

if TYPE_CHECKING:
    from nptables.model.workloads import Workload
    from nptables.sources.previews import Preview

# Above this, texts are not kept after loading only to tell lines later.
KEPT_TEXT = 16 * 1024 * 1024
_LARGE_YAML = 2 * 1024 * 1024
Parse = Callable[[Input], tuple[list[Document], list[Problem]]]
# Files that stand for their folder: kustomizations, and charts.
HEADS = ("kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml")


@frozen
class Loaded:
    """What was read, and the problems that were found.

    `problems` are all mistakes, with file, line and column. `previews` are the values that were
    made up for objects that were never applied. `ignored` counts the objects that decide no rule,
    by kind. `notes` are hints for the user. `proxy_config` is the KubeProxyConfiguration in the
    input, as a mapping, or None. `pods` are the Pods in the input, for checks that need them.
    `lenient` says whether there is a cluster in spite of the problems. It is False, even after a
    lenient reading, if the input was missing or could not be parsed. `name` is the name of the set
    if a tree has several. `templates` are the files of objects that were left out because another
    program has to fill them in first. `taken` is when a bundle got the objects from the server, in
    RFC 3339, or empty.
    """

    problems: tuple[Problem, ...] = ()
    previews: tuple[Preview, ...] = ()
    ignored: Mapping[str, int] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()
    proxy_config: Mapping[str, Any] | None = None
    pods: tuple[Mapping[str, Any], ...] = ()
    lenient: bool = False
    name: str = ""
    templates: tuple[str, ...] = ()
    taken: str = ""
    _cluster: Cluster = attrs.field(factory=Cluster, repr=False)
    _places: Mapping[tuple[str, str, str], Item] = attrs.field(factory=dict, repr=False)

    @property
    def has_services(self) -> bool:
        """Whether there is any Service, problems or not."""
        return bool(self._cluster.services)

    @property
    def usable(self) -> bool:
        """Whether there is a cluster: without problems, or in spite of them (`lenient`)."""
        return self.lenient or not self.problems

    @property
    def cluster(self) -> Cluster:
        """The cluster that was read.

        Raises InvalidInput where there are problems and the reading was not lenient: half a
        cluster is never mistaken for a whole one.
        """
        if not self.usable:
            raise InvalidInput(self.problems)
        return self._cluster

    def place(
        self, kind: str, namespace: str, name: str, path: Path = ()
    ) -> tuple[str, int | None, int | None] | None:
        """File, line and column (from 1) of an object or of a field of it, or None.

        Line and column are None where the input was so large that its text was not kept.
        `namespace` is empty for a Node.
        """
        return _place_in(self._places, kind, namespace, name, path)


def load(
    *paths: str | os.PathLike[str],
    lenient: bool = False,
    preview: bool = True,
    service_cidrs: Iterable[str] = SERVICE_CIDRS,
    node_port_range: str = NODE_PORT_RANGE,
    progress: Progress | None = None,
) -> Loaded:
    """The cluster that files describe.

    Args:
        paths: YAML or JSON files, folders that hold one set of manifests (see `load_sets`),
            bundles that a collector of logs made, or `-` for standard input. Objects of a bundle
            are read as with `lenient`: a server has had them. For kustomizations and charts in
            folders kustomize, kubectl or helm is started; `load_sets` can do without.
        lenient: For objects as an API server stores them; what cannot be used is left out.
        preview: Make up the values that a server would assign to objects that were never applied.
            If false, each missing value is a problem.
        service_cidrs: The ranges of made-up cluster IPs, at most one of each family.
        node_port_range: The range of made-up node ports, such as `30000-32767`.
        progress: Called now and then while a large YAML file is read, with its name, the
            characters read so far and those there are.

    Returns:
        The cluster, with all problems and notes. Mistakes in manifests are listed there; they
        raise nothing.

    Raises:
        InvalidInput: For invalid ranges.
    """
    options = Options(
        lenient=lenient, preview=preview, ranges=Ranges.parse(service_cidrs, node_port_range)
    )
    if any(stands_for_a_tree(path) for path in paths):
        from nptables.sources.sets import load_sets  # noqa: PLC0415 - the other way round

        sets = load_sets(
            *paths,
            lenient=lenient,
            preview=preview,
            service_cidrs=service_cidrs,
            node_port_range=node_port_range,
            progress=progress,
        )
        return attrs.evolve(sets.only, notes=(*sets.words(), *sets.only.notes))
    with collector_paused():
        return _load(paths, options, progress)


def load_texts(
    texts: Iterable[Input | Problem],
    *,
    lenient: bool = False,
    preview: bool = True,
    service_cidrs: Iterable[str] = SERVICE_CIDRS,
    node_port_range: str = NODE_PORT_RANGE,
    parse: Parse = parse_text,
) -> Loaded:
    """The cluster that texts describe, each with its name, or the problem why it has no text.

    The same as `load`, for a program that has read the files already, or that never had any.
    `parse` gives the documents of a text, for whoever keeps those of texts that come again.
    """
    options = Options(
        lenient=lenient, preview=preview, ranges=Ranges.parse(service_cidrs, node_port_range)
    )
    with collector_paused():
        return _of_inputs(texts, Bundled(plain=True), options, parse)


def load_objects(
    objects: Iterable[Any],
    *,
    lenient: bool = False,
    preview: bool = True,
    service_cidrs: Iterable[str] = SERVICE_CIDRS,
    node_port_range: str = NODE_PORT_RANGE,
    listed: bool = False,
) -> Loaded:
    """The cluster that objects describe: mappings, Lists or models of the kubernetes client.

    The same as `load`, for a program that has the objects already. `listed` says that they are all
    that an API server has, so that a Service without an EndpointSlice has none.
    """
    options = Options(
        lenient=lenient,
        preview=preview,
        ranges=Ranges.parse(service_cidrs, node_port_range),
        listed=listed,
    )
    with collector_paused():
        return finished([Item(value) for value in objects], [], [], options)


def _load(
    paths: Iterable[str | os.PathLike[str]], options: Options, progress: Progress | None
) -> Loaded:
    found_there, others = bundled(paths, progress)
    return _of_inputs(
        read_inputs(*others),
        found_there,
        options,
        partial(parse_text, progress=progress, early=read_early),
    )


def _of_inputs(
    inputs: Iterable[Input | Problem], found_there: Bundled, options: Options, parse: Parse
) -> Loaded:
    items: list[Item] = []
    problems: list[Problem] = []
    notes: list[str] = []
    names: list[str] = []
    kept = 0
    for found in inputs:
        if isinstance(found, Problem):
            problems.append(found)
            names.append(found.file or "")
            continue
        names.append(found.name)
        documents, wrong = parse(found)
        problems.extend(wrong)
        kept += len(found.text)
        notes.extend(hints(found, documents))
        items.extend(Item(document.value, document) for document in documents)
        # Else a text would be held while the next one is read.
        del found
    names += found_there.files
    problems += found_there.problems
    items += [Item(document.value, document) for document in found_there.documents]
    if not problems and (empty := nothing_in(items, names)) is not None:
        problems.append(empty)
        items = []
    kept += found_there.size
    loaded = finished(
        items, problems, notes, found_there.options(options), files=names,
        with_places=kept <= KEPT_TEXT, namespaces=found_there.namespaces,
    )  # fmt: skip
    return attrs.evolve(loaded, taken=found_there.taken)


def finished(
    items: list[Item],
    problems: list[Problem],
    notes: list[str],
    options: Options,
    *,
    files: Iterable[str] = (),
    with_places: bool = True,
    name: str = "",
    elsewhere: tuple[Workload, ...] = (),
    lacking: str = "",
    scattered: bool = False,
    namespaces: frozenset[str] | None = None,
    is_template: Callable[[Item, Problem], bool] | None = None,
) -> Loaded:
    """What comes of objects; `is_template` tells mistakes that another program's work would mend.

    `elsewhere` are the workloads of the other sets of a tree, `lacking` says what of it was not
    read, `scattered` that nothing but the tree holds its files together. `namespaces` are those of
    which there may be Services, None for all.
    """
    flat = [inner for item in items for inner in item.flattened()]
    # So that the objects of a large input are not held twice.
    items.clear()
    hidden: frozenset[tuple[str, str]] = frozenset()
    if any(item.document is not None and item.document.redacted for item in flat):
        from nptables.sources.redacted_objects import with_made_up_addresses  # noqa: PLC0415 - seldom needed

        flat, hidden = with_made_up_addresses(flat)
    result = assemble(flat, options)
    templates: list[str] = []
    if is_template is not None and result.raw_problems:
        unfilled = {
            problem.index
            for problem in result.raw_problems
            if problem.index is not None and is_template(flat[problem.index], problem)
        }
        if unfilled:
            # What is left is assembled once more, since the others may have taken addresses and
            # ports.
            templates = [flat[i].place(Problem("")).file or "" for i in sorted(unfilled)]
            flat = [item for i, item in enumerate(flat) if i not in unfilled]
            result = assemble(flat, options)
    found = [*problems, *result.problems]
    if any(problem.file for problem in found):
        found = _in_reading_order(found, files)
    places = _places(flat) if with_places else {}
    return Loaded(
        problems=tuple(found),
        previews=tuple(result.previews),
        ignored=result.ignored,
        notes=(*notes, *_said_of(hidden)),
        proxy_config=result.proxy_config,
        pods=tuple(result.pods),
        lenient=options.lenient and not problems,
        name=name,
        templates=tuple(templates),
        cluster=_with_surroundings(
            result.cluster,
            place=partial(_place_in, places),
            elsewhere=elsewhere,
            scattered=scattered,
            namespaces=namespaces,
            hidden=hidden,
            lacking=lacking or ("an object of it is a template" if templates else ""),
        ),
        places=places,
    )


def _said_of(hidden: frozenset[tuple[str, str]]) -> Iterator[str]:
    if hidden:
        from nptables.sources.redacted_objects import MADE_UP  # noqa: PLC0415 - imported above already

        count = counted(len(hidden), "Service")
        yield (
            f"addresses of {count} are hidden: made-up ones stand for them ({MADE_UP}), and a "
            "node's rules are not compared with them"
        )


def _with_surroundings(cluster: Cluster, **known: Any) -> Cluster:
    """The cluster whose backing knows the places of its objects, and what is beside the input."""
    if cluster.backing is None:
        return cluster
    return attrs.evolve(cluster, backing=attrs.evolve(cluster.backing, **known))


def _place_in(
    places: Mapping[tuple[str, str, str], Item],
    kind: str,
    namespace: str,
    name: str,
    path: Path = (),
) -> tuple[str, int | None, int | None] | None:
    item = places.get((kind, namespace, name))
    if item is None or item.document is None:
        return None
    found = item.place(Problem("", path=path))
    return item.document.file, found.line, found.column


def stands_for_a_tree(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a folder, or of a file that heads one: a kustomization, a chart.

    A folder that is a bundle is none: it holds the objects of one cluster.
    """
    text = os.fspath(path)
    is_head = os.path.basename(text.rstrip("/")) in HEADS
    if is_head or not os.path.isdir(text):
        return is_head
    from nptables.sources.bundles import is_bundle_folder  # noqa: PLC0415 - for folders only

    return not is_bundle_folder(text)


def _in_reading_order(problems: list[Problem], files: Iterable[str]) -> list[Problem]:
    numbers: dict[str | None, int] = {file: number for number, file in enumerate(files)}
    return sorted(
        problems, key=lambda p: (numbers.get(p.file, -1), p.line or 0, p.column or 0, len(p.path))
    )


def _places(items: Iterable[Item]) -> dict[tuple[str, str, str], Item]:
    found: dict[tuple[str, str, str], Item] = {}
    for item in items:
        if item.document is not None and isinstance(item.value, Mapping):
            identity = item.identity
            if identity is not None:
                found.setdefault(identity, item.without_value())
    return found


def hints(source: Input, documents: list[Document]) -> Iterator[str]:
    """What would make the reading of a file faster."""
    if len(source.text) > _LARGE_YAML and any(document.is_yaml for document in documents):
        megabytes = len(source.text) / 1e6
        yield (
            f"{printable(source.name)} is {megabytes:.0f} MB of YAML; "
            "the same as JSON (kubectl get -o json) is read many times faster"
        )


def nothing_in(items: list[Item], names: list[str]) -> Problem | None:
    """The problem with an input that holds no object, or None; `names` are those of its files."""
    if any(_holds_objects(item) for item in items):
        return None
    file = names[0] if len(names) == 1 else None
    if items:
        # An account that may not list Services gets the same, and all would look well.
        return Problem(
            "holds an empty list, so there is nothing to look at"
            if file
            else "the input holds empty lists only, so there is nothing to look at",
            hint="an account without the right to read them may get it too: "
            "try kubectl auth can-i list services -A",
            file=file,
        )
    return Problem(
        "there is no Kubernetes object in the input" if names else "there is no input",
        hint="a Service, EndpointSlice or Node as YAML or JSON",
        file=file,
    )


def _holds_objects(item: Item) -> bool:
    """Whether anything but empty lists is in it."""
    return any(not is_empty_list(inner.value) for inner in item.flattened())
