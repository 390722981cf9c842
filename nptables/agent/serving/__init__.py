"""What the agent answers to others: probes, metrics, load balancers and `nptables status`."""

from nptables.agent.serving.http import Handler, Server, by_path
from nptables.agent.serving.listeners import HealthPorts, Ports, health_check_hosts
from nptables.agent.serving.responses import Answer, Probes
from nptables.agent.serving.status import StatusSocket, ask_status
from nptables.model.times import rfc3339

__all__ = [
    "Answer",
    "Handler",
    "HealthPorts",
    "Ports",
    "Probes",
    "Server",
    "StatusSocket",
    "ask_status",
    "by_path",
    "health_check_hosts",
    "rfc3339",
]
