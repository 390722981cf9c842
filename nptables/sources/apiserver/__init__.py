"""Objects straight from an API server: lists, and watches that keep them current.

The list-and-watch loop is ours, because that of the `kubernetes` client asks for no bookmarks, does
not page, and retries without pause. urllib3 carries the bytes. Files with credentials are read
here, and the client is imported only for those that a plugin gives.
"""

from nptables.sources.apiserver.backoff import Backoff
from nptables.sources.apiserver.executing import Container, Finished, execute
from nptables.sources.apiserver.kubeconfig import Place
from nptables.sources.apiserver.listing import list_cluster, list_pages
from nptables.sources.apiserver.recorder import Announcement, Recorder, Regarding
from nptables.sources.apiserver.reflector import Reflector, Settings
from nptables.sources.apiserver.resources import (
    ENDPOINT_SLICES,
    NODES,
    SERVICES,
    Changed,
    Event,
    Listed,
    Resource,
    Trouble,
    Watching,
    node_named,
)
from nptables.sources.apiserver.transport import (
    Connection,
    Response,
    Transport,
    kubeconfig_of_proxy,
)

__all__ = [
    "ENDPOINT_SLICES",
    "NODES",
    "SERVICES",
    "Announcement",
    "Backoff",
    "Changed",
    "Connection",
    "Container",
    "Event",
    "Finished",
    "Listed",
    "Place",
    "Recorder",
    "Reflector",
    "Regarding",
    "Resource",
    "Response",
    "Settings",
    "Transport",
    "Trouble",
    "Watching",
    "execute",
    "kubeconfig_of_proxy",
    "list_cluster",
    "list_pages",
    "node_named",
]
