"""What programs print of a node for people to read, as the facts that it tells.

Logs that somebody collected have this instead of JSON. Lines that do not fit are skipped.
"""

from nptables.evidence.printed.network import interfaces_shown, routes_shown
from nptables.evidence.printed.programs import (
    kube_proxy_logged,
    processes_shown,
    sets_shown,
)
from nptables.evidence.printed.system import (
    date_shown,
    host_named,
    kernel_shown,
    settings_shown,
)

__all__ = [
    "date_shown",
    "host_named",
    "interfaces_shown",
    "kernel_shown",
    "kube_proxy_logged",
    "processes_shown",
    "routes_shown",
    "sets_shown",
    "settings_shown",
]
