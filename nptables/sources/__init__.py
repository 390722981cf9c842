"""From bytes to mappings: manifests, client objects, a cluster."""

from nptables.sources.loading import Loaded, load, read_document, read_text

__all__ = ["Loaded", "load", "read_document", "read_text"]
