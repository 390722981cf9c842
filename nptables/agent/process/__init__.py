"""The agent as a process of its node: one instance, logs, and the service manager."""

from nptables.agent.process.announcements import Announcements
from nptables.agent.process.instance import InstanceLock
from nptables.agent.process.logs import Log, words_of_libraries
from nptables.agent.process.manager import ServiceManager
from nptables.agent.process.neighbour import Neighbour
from nptables.agent.process.patience import choose_patiently, leave_programs_their_stack

__all__ = [
    "Announcements",
    "InstanceLock",
    "Log",
    "Neighbour",
    "ServiceManager",
    "choose_patiently",
    "leave_programs_their_stack",
    "words_of_libraries",
]
