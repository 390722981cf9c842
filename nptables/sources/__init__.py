"""From bytes to mappings: manifests, client objects, a cluster."""

import re
from typing import TYPE_CHECKING

from nptables.errors import InvalidInput, Problem
from nptables.lazily import imported_on_use
from nptables.sources.loading import Loaded, load, load_objects, load_texts
from nptables.sources.sets import Sets, load_sets
from nptables.sources.text.files import Input, read_one

if TYPE_CHECKING:
    from nptables.sources.evidence import evidence_in, read_evidence
    from nptables.sources.kubeproxy import (
        FoundConfig,
        config_in,
        facts_in,
        find_config,
        find_kube_proxy_config,
        parse_config,
        read_config,
        read_document,
        read_facts,
    )
    from nptables.sources.locations import Place, where_changed
    from nptables.sources.previews import Preview

# What the reader of objects does without: to read what a node has takes all that knows rules.
_MODULES = {
    **dict.fromkeys(("evidence_in", "read_evidence"), "nptables.sources.evidence"),
    **dict.fromkeys(
        ("FoundConfig", "config_in", "facts_in", "find_config", "find_kube_proxy_config",
         "parse_config", "read_config", "read_document", "read_facts"),
        "nptables.sources.kubeproxy",
    ),
    **dict.fromkeys(("Place", "where_changed"), "nptables.sources.locations"),
    "Preview": "nptables.sources.previews",
}  # fmt: skip

__getattr__ = imported_on_use(__name__, _MODULES)


def read_text(path: str) -> str:
    """The text of a file; `-` is standard input. Raises InvalidInput."""
    return read_one(path).text


def read_connections(path: str) -> str:
    """What `conntrack -L` printed, from a file; `-` is standard input.

    Nothing at all says that there was no connection. Raises InvalidInput for any other text.
    """
    source = read_one(path)
    if source.text.strip() and not _CONNECTIONS.search(source.text):
        hint = "run `conntrack -L` as root on the node, and give what it prints"
        raise InvalidInput([Problem("is not what `conntrack -L` prints", hint, file=source.name)])
    return source.text


# A connection of any protocol, and what is said at the end.
_CONNECTIONS = re.compile(r"\bsrc=\S+ dst=\S+|\bflow entries have been shown")

__all__ = [
    "FoundConfig",
    "Input",
    "Loaded",
    "Place",
    "Preview",
    "Sets",
    "config_in",
    "evidence_in",
    "facts_in",
    "find_config",
    "find_kube_proxy_config",
    "load",
    "load_objects",
    "load_sets",
    "load_texts",
    "parse_config",
    "read_config",
    "read_connections",
    "read_document",
    "read_evidence",
    "read_facts",
    "read_text",
    "where_changed",
]
