"""From bytes to mappings: manifests, client objects, a cluster."""

from nptables.sources.evidence import evidence_in, read_evidence
from nptables.sources.kubeproxy import (
    FoundConfig,
    find_config,
    find_kube_proxy_config,
    parse_config,
    read_config,
    read_facts,
)
from nptables.sources.loading import Loaded, load, load_objects
from nptables.sources.places import Place, where_changed
from nptables.sources.previews import Preview
from nptables.sources.sets import Sets, load_sets
from nptables.sources.text.files import read_one


def read_text(path: str) -> str:
    """The text of a file; `-` is standard input. Raises InvalidInput."""
    return read_one(path).text


__all__ = [
    "FoundConfig",
    "Loaded",
    "Place",
    "Preview",
    "Sets",
    "evidence_in",
    "find_config",
    "find_kube_proxy_config",
    "load",
    "load_objects",
    "load_sets",
    "parse_config",
    "read_config",
    "read_evidence",
    "read_facts",
    "read_text",
    "where_changed",
]
