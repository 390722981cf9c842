"""What support engineers are sent: archives and folders that a collector of logs made.

`layouts` is the table of them. Each holds what a node has, or the objects of a cluster, or both.
"""

from nptables.sources.bundles.finding import Bundle, Contents, is_bundle_folder
from nptables.sources.bundles.known import contents_of
from nptables.sources.bundles.nodes import evidences_of
from nptables.sources.bundles.objects import Objects, objects_of

__all__ = [
    "Bundle",
    "Contents",
    "Objects",
    "contents_of",
    "evidences_of",
    "is_bundle_folder",
    "objects_of",
]
