"""What the agent answers to others: probes, metrics, load balancers and `nptables status`."""

from nptables.agent.serving.answers import Answer, healthz, livez
from nptables.agent.serving.http import Listener, Server
from nptables.agent.serving.load_balancers import HealthPorts
from nptables.agent.serving.status import StatusSocket, ask_status

__all__ = [
    "Answer",
    "HealthPorts",
    "Listener",
    "Server",
    "StatusSocket",
    "ask_status",
    "healthz",
    "livez",
]
