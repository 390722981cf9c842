"""What a node knows of the network around it: addresses, networks and routes."""

from nptables.tracing.surroundings.addressing import Address, Net, Somewhere
from nptables.tracing.surroundings.network import Network

__all__ = ["Address", "Net", "Network", "Somewhere"]
