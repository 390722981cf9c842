"""docs/architecture.md names packages, files, functions and classes: all of them are there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import tomllib
from collections.abc import Iterator

from tests.support.documentation import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
# What the two ways name and others define.
OF_OTHERS = {"EndpointSlice", "minSyncPeriod"}


def test_the_page_about_architecture_names_what_is_there() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (each for each in layers["contracts"] if each["name"] == "Imports go one way")
    packages = re.findall(r"\w+", " ".join(contract["layers"]))
    places = [
        place
        for place in re.findall(r"`([a-z_]+(?:\.\w+)+)`", PAGE)
        if place.split(".")[0] in packages
    ]

    assert [
        name for name in packages if not re.search(rf"^(?:.*, )?{name}\b", PAGE, re.MULTILINE)
    ] == []
    assert len(places) > 20
    assert [place for place in places if not is_there(place)] == []


def test_the_way_of_a_service_and_that_of_a_packet_name_files_and_code_that_is_there() -> None:
    start, end = PAGE.index("## The way of one Service"), PAGE.index("## From files to sets")
    text = re.sub(r"```.*?```", "", PAGE[start:end], flags=re.DOTALL)
    pictures = "".join(re.findall(r"```text(.*?)```", PAGE[start:end], flags=re.DOTALL))
    files = re.findall(r"`([\w/]+\.py)`", text)
    names = re.findall(r"`((?!\S+\.py`)[A-Za-z_]+(?:\.[A-Za-z_]+)*)`", text)
    drawn = re.findall(r"\b[a-z]+(?:[._][a-z]+)+\b", pictures)
    known = set(defined())

    assert len(files) > 15
    assert len(names) > 30
    assert len(drawn) > 15
    assert [file for file in files if not list((ROOT / "nptables").rglob(file))] == []
    assert [name for name in (*names, *drawn) if name not in known | OF_OTHERS] == []


def defined() -> Iterator[str]:
    """What there is by each of its names: `nptables.tracing.hops`, `tracing.hops`, `hops`."""
    for file in (ROOT / "nptables").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield from ends(module)
        for top in ast.parse(file.read_text()).body:
            if isinstance(top, ast.FunctionDef | ast.ClassDef):
                yield from ends(f"{module}.{top.name}")
            for inner in top.body if isinstance(top, ast.ClassDef) else ():
                for name in names_in(inner):
                    yield from ends(f"{module}.{top.name}.{name}")


def names_in(node: ast.stmt) -> Iterator[str]:
    """The methods and values that a statement of a class defines."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def ends(name: str) -> Iterator[str]:
    """`a.b.c`, `b.c` and `c`."""
    parts = name.split(".")
    return (".".join(parts[first:]) for first in range(len(parts)))


def is_there(place: str) -> bool:
    """Whether a module, or something in one, has that name."""
    module, _, name = f"nptables.{place}".rpartition(".")
    if importlib.util.find_spec(module) is None:
        return False
    return (
        hasattr(importlib.import_module(module), name)
        or importlib.util.find_spec(f"{module}.{name}") is not None
    )
