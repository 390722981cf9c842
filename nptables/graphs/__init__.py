"""Pictures of rules: what a Service is on a node, and the way of a packet, as a graph."""

from nptables.graphs.dot import to_dot
from nptables.graphs.graph import Edge, Graph, Kind, Vertex
from nptables.graphs.mermaid import to_mermaid
from nptables.graphs.packet_path import path_graph
from nptables.graphs.service import service_graph
from nptables.graphs.svg import STYLE, svg_element, to_svg

__all__ = [
    "STYLE",
    "Edge",
    "Graph",
    "Kind",
    "Vertex",
    "path_graph",
    "service_graph",
    "svg_element",
    "to_dot",
    "to_mermaid",
    "to_svg",
]
