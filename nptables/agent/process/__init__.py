"""The agent as a process of its node: one instance, logs, and the service manager."""

from nptables.agent.process.instance import InstanceLock, OtherProxyWatch
from nptables.agent.process.kubernetes_events import Announcements
from nptables.agent.process.logs import Log, words_of_libraries
from nptables.agent.process.startup import CollectorRest, choose_backend, raise_stack_limit
from nptables.agent.process.systemd import ServiceManager

__all__ = [
    "Announcements",
    "CollectorRest",
    "InstanceLock",
    "Log",
    "OtherProxyWatch",
    "ServiceManager",
    "choose_backend",
    "raise_stack_limit",
    "words_of_libraries",
]
