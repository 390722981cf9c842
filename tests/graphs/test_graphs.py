"""Graphs of Services and of ways, and the languages that they are written in."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables import Cluster, Family, ProxyConfig, load, reach, translate
from nptables.graphs import (
    Edge,
    Graph,
    Kind,
    Vertex,
    path_graph,
    service_graph,
    to_dot,
    to_mermaid,
    to_svg,
)
from nptables.graphs.graph import Drawing, edge_text
from nptables.graphs.layout import beside, laid_out, text_width
from tests.support import clusters
from tests.support.browsers import started
from tests.support.crowd import fleet, hostile
from tests.support.requirements import mermaid, requires

if TYPE_CHECKING:
    from collections.abc import Hashable


def graph_of(cluster: Cluster, key: tuple[str, str], node: str) -> Graph:
    rules = translate(cluster, cluster.nodes[node], ProxyConfig(), Family.IPV4)
    return service_graph(rules, key)


def heads(graph: Graph, tail: Hashable) -> dict[str, Fraction | None]:
    names = {vertex.key: vertex.lines[0] for vertex in graph.vertices}
    return {names[edge.head]: edge.share for edge in graph.edges if names[edge.tail] == tail}


def test_a_service_is_drawn_from_frontends_to_endpoints_with_exact_shares() -> None:
    graph = graph_of(fleet(2, 4), ("ns1", "web1"), "node2")
    frontends = [v.lines[0] for v in graph.vertices if v.kind is Kind.FRONTEND]
    chain = next(v.lines[0] for v in graph.vertices if v.lines[0].startswith("KUBE-SVC-"))

    assert frontends == ["10.96.0.2:80/TCP", "nodePort 30001/TCP"]
    assert list(heads(graph, "nodePort 30001/TCP")) == ["KUBE-NODEPORTS"]
    # iptables keeps 1/3 as 715827883 of 2^31, half of the rest, and the last takes what is left.
    third, whole = Fraction(715827883, 1 << 31), Fraction(1)
    half = (whole - third) / 2
    assert [third, half, whole - third - half] == list(heads(graph, chain).values())
    endpoints = [v.lines for v in graph.vertices if v.kind is Kind.ENDPOINT]
    # 7, 10 and 13 modulo 4 nodes, counted from node1: on nodes 4, 3 and 2.
    assert ("10.128.1.5:8080", "ready, node2, this node", "pod ns1/web1-2") in endpoints


def test_masquerading_is_marked_where_the_rules_do_it() -> None:
    def marked(node: str, number: int) -> list[tuple[str, ...]]:
        graph = graph_of(fleet(2, 4), (f"ns{number}", f"web{number}"), node)
        return [v.lines[2:] for v in graph.vertices if v.lines[0].startswith("KUBE-EXT-")]

    assert marked("node1", 1) == [("masquerades",)]
    assert marked("node1", 0) == [("masquerades from the node itself",)]


def test_a_node_without_local_endpoints_shows_where_packets_are_dropped() -> None:
    # Service 0 has the Local policy and endpoints on nodes 1, 4 and 3.
    graph = graph_of(fleet(1, 4), ("ns0", "web0"), "node2")

    assert [vertex.lines for vertex in graph.vertices if vertex.kind is Kind.END] == [
        ("dropped", "has no local endpoints")
    ]


def test_of_many_endpoints_the_first_are_drawn_and_the_rest_is_one() -> None:
    graph = graph_of(fleet(1, 50, endpoints=40, local_every=2000), ("ns0", "web0"), "node1")
    rest = [vertex for vertex in graph.vertices if vertex.lines == ("16 more endpoints",)]
    chain = next(v.lines[0] for v in graph.vertices if v.lines[0].startswith("KUBE-SVC-"))

    assert len(rest) == 1
    shares = heads(graph, chain).values()
    assert sum(share for share in shares if share is not None) == 1
    assert Fraction(2, 5) == (heads(graph, chain)["16 more endpoints"] or 0).limit_denominator(99)


def test_the_way_of_a_packet_goes_through_chains_and_ends_where_the_trace_does() -> None:
    cluster = load("fixtures/tutorial/two-nodes.yaml").cluster
    (row,) = reach(cluster).rows
    graph = path_graph(row.on("node2").trace)
    names = [vertex.lines[0] for vertex in graph.vertices]

    assert names[:4] == [str(row.on("node2").trace.packet), "PREROUTING", "KUBE-SERVICES",
                         "KUBE-NODEPORTS"]  # fmt: skip
    ends = [vertex.lines for vertex in graph.vertices if vertex.kind is Kind.ENDPOINT]
    assert ends == [("reaches the endpoint", "10.233.64.5:80", "on node1")]
    assert [edge.masquerades for edge in graph.edges if edge.head == ("end", *ends[0])] == [True]


def test_a_picture_of_one_case_says_that_there_are_others_and_which_one_it_is() -> None:
    """A client may be in the ranges of the load balancer, and then it is served, or not."""
    web = clusters.service(
        type="LoadBalancer", loadBalancerSourceRanges=["203.0.113.0/24"],
        status={"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}},
    )  # fmt: skip
    backend = clusters.endpoint_slice(clusters.endpoint("10.244.1.5"))
    cluster = Cluster.from_objects([clusters.node("node1"), web, backend])
    (row,) = (each for each in reach(cluster).rows if each.address)

    graph = path_graph(row.on("node1").trace)

    sender, others = graph.vertices[:2]
    assert sender.lines[1:] == ("if a client outside the cluster outside 203.0.113.0/24",)
    assert others.lines == ("1 other case", "nptables trace has every case")
    ends = [vertex.lines[0] for vertex in graph.vertices if vertex.kind is Kind.END]
    assert ends == ["1 other case", "dropped"]


GRAPHS = [
    graph_of(fleet(2, 4), ("ns0", "web0"), "node1"),
    *(
        service_graph(
            translate(hostile(), node, ProxyConfig(), Family.IPV4), key
        )
        for node in hostile().nodes.values()
        for key in hostile().services
    ),
    *(path_graph(cell.trace) for row in reach(hostile()).rows for cell in row.cells),
]  # fmt: skip


def checked(argv: list[str], text: str) -> str:
    done = subprocess.run(
        argv, input=text.encode("utf-8", "replace"), capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


def test_svg_is_xml_whatever_the_names_are() -> None:
    requires("xmllint")
    for graph in GRAPHS:
        text = checked(["xmllint", "-"], to_svg(graph))
        assert "<img" not in text
        assert len(graph.vertices) == len(re.findall("<g ", text))


def test_svg_draws_apart_what_is_masqueraded_and_what_is_beside_the_name() -> None:
    for graph in GRAPHS:
        text = to_svg(graph)
        lines = re.findall(r'<path( class="masqueraded")? d="', text)
        boxes = re.findall(r'<g class="(\w+)( masquerades)?">', text)
        firsts = re.findall(r'<text x="[0-9.]+" y="[0-9.]+"( class="more")?>', text)

        assert [bool(line) for line in lines] == [edge.masquerades for edge in graph.edges]
        assert sum(vertex.masquerades for vertex in graph.vertices) == sum(
            bool(marked) for _, marked in boxes
        )
        assert len(graph.vertices) == len(firsts) - sum(map(bool, firsts))


def test_graphviz_reads_the_dot_and_sees_the_same_vertices() -> None:
    requires("dot")
    for graph in GRAPHS:
        plain = checked(["dot", "-Tplain"], to_dot(graph))
        assert len(graph.vertices) == len(re.findall("^node ", plain, re.MULTILINE))
        assert len(graph.edges) == len(re.findall("^edge ", plain, re.MULTILINE))


def test_mermaid_itself_parses_the_flowchart_and_shows_names_as_text() -> None:
    requires("mermaid")
    with started() as chromium:
        page = chromium.new_page()
        page.add_script_tag(path=mermaid())
        for number, graph in enumerate(GRAPHS):
            svg = page.evaluate(
                "async ([id, text]) => { mermaid.initialize({startOnLoad: false});"
                "await mermaid.parse(text); return (await mermaid.render(id, text)).svg }",
                [f"g{number}", to_mermaid(graph)],
            )
            assert len(graph.vertices) == len(re.findall(r'class="node ', svg))
            assert "<img" not in svg


words = st.text(max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph: with rings, with edges that double others, of any texts."""
    count = draw(st.integers(1, 8))
    vertices = tuple(
        Vertex(number, draw(st.sampled_from(Kind)), (draw(words), draw(words)), draw(st.booleans()))
        for number in range(count)
    )
    ends = st.integers(0, count - 1)
    edges = tuple(
        Edge(draw(ends), draw(ends), draw(words), draw(st.sampled_from([None, Fraction(1, 3)])))
        for _ in range(draw(st.integers(0, 12)))
    )
    return Graph(draw(words), vertices, edges)


@given(graphs(), st.booleans())
def test_no_two_boxes_overlap_and_every_line_is_drawn(graph: Graph, down: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    picture = laid_out(graph, down=down)

    for number, one in enumerate(picture.boxes):
        assert one.x >= 0
        assert one.x + one.width <= picture.width
        assert one.y + one.height <= picture.height
        for other in picture.boxes[:number]:
            assert (
                one.x + one.width <= other.x
                or other.x + other.width <= one.x
                or one.y + one.height <= other.y
                or other.y + other.height <= one.y
            )
    assert len(graph.vertices) == len(picture.boxes)
    assert len(graph.edges) == len(picture.lines)


def test_a_picture_that_goes_down_has_what_arrows_lead_to_below() -> None:
    graph = graph_of(fleet(2, 4), ("ns1", "web1"), "node2")
    right, down = laid_out(graph), laid_out(graph, down=True)

    for picture, along in ((right, 0), (down, 1)):
        for line in picture.lines:
            steps = [point[along] for point in line.points]
            assert steps == sorted(steps)
    assert down.width < right.width
    assert all(beside(line)[0] + text_width(line.text) < down.width for line in down.lines)
    assert to_mermaid(graph, down=True).startswith("flowchart TB\n")
    assert "rankdir=TB;" in to_dot(graph, down=True)


def test_a_picture_that_goes_down_ends_behind_the_text_beside_its_line() -> None:
    ends = (Vertex(1, Kind.END, ("a",)), Vertex(2, Kind.END, ("b",)))
    (margin,) = (box.x for box in laid_out(Graph("one", ends[:1], ())).boxes)
    picture = laid_out(Graph("two", ends, (Edge(1, 2, "wider than both"),)), down=True)
    (line,) = picture.lines

    assert picture.width == beside(line)[0] + text_width(line.text) + margin


@given(graphs())
def test_without_rings_every_line_leads_to_the_right(graph: Graph) -> None:
    forward = attrs.evolve(graph, edges=tuple(e for e in graph.edges if e.tail < e.head))  # type: ignore[operator]
    picture = laid_out(forward)
    places = {box.vertex.key: box for box in picture.boxes if box.vertex is not None}

    for edge in forward.edges:
        tail, head = places[edge.tail], places[edge.head]
        assert tail.x + tail.width < head.x
    for edge, line in zip(forward.edges, picture.lines, strict=True):
        (x, y), (x2, y2) = line.points[0], line.points[-1]
        tail, head = places[edge.tail], places[edge.head]
        assert (x, x2) == (tail.x + tail.width, head.x)
        assert tail.y <= y <= tail.y + tail.height
        assert head.y <= y2 <= head.y + head.height


@given(graphs())
def test_every_text_is_escaped_in_every_language(graph: Graph) -> None:
    assert not re.search(r"&(?!(?:lt|gt|amp|quot|#x27);)", to_svg(graph).partition("</style>")[2])
    for line in to_mermaid(graph).splitlines()[1:-1]:
        assert re.fullmatch(r'[^"]*("[A-Za-z0-9 .,:/()+%#;<br>-]*"[^"]*)?', line)
    assert to_dot(graph).count("\n") == 5 + len(graph.vertices) + len(graph.edges)


@pytest.mark.parametrize("write", [to_svg, to_dot, to_mermaid])
def test_equal_graphs_are_written_alike(write: object) -> None:
    assert callable(write)
    assert write(GRAPHS[0]) == write(attrs.evolve(GRAPHS[0]))


def test_a_graph_of_nothing_is_a_picture_of_margins() -> None:
    empty = laid_out(Graph("nothing", (), ()))
    (margin,) = (box.x for box in laid_out(Graph("one", (Vertex(1, Kind.END, ("a",)),), ())).boxes)

    assert (empty.boxes, empty.lines) == ((), ())
    assert (empty.width, empty.height) == (margin, 2 * margin)


@pytest.mark.parametrize(
    ("edge", "text"),
    [
        (Edge(1, 2), ""),
        (Edge(1, 2, "tcp"), "tcp"),
        (Edge(1, 2, "", Fraction(1)), "all"),
        (Edge(1, 2, "", Fraction(715827883, 1 << 31)), "1/3"),
        (Edge(1, 2, "", Fraction(1, 101)), "0.99 %"),
        (Edge(1, 2, "", Fraction(1, 100)), "1/100"),
        (Edge(1, 2, "", Fraction(1, 1000)), "0.1 %"),
        # Farther than 10^-8 from a third.
        (Edge(1, 2, "", Fraction(33333331, 10**8)), "33.3 %"),
        (Edge(1, 2, "seen", Fraction(1, 2), masquerades=True), "seen, 1/2, masqueraded"),
        (Edge(1, 2, masquerades=True), "masqueraded"),
    ],
)
def test_beside_an_edge_stand_its_label_its_share_and_what_is_done(edge: Edge, text: str) -> None:
    assert edge_text(edge) == text


def test_what_is_drawn_twice_is_there_once() -> None:
    drawing = Drawing()
    drawing.vertex(1, Kind.CHAIN, "a", "b")
    drawing.vertex(1, Kind.CHAIN, "b", "c", masquerades=True)
    drawing.vertex(1, Kind.CHAIN, "a")
    drawing.vertex(2, Kind.END, "end")
    drawing.edge(1, 2, "", Fraction(1, 4), masquerades=True)
    drawing.edge(1, 2, "", Fraction(1, 2))
    drawing.edge(1, 2, "other")

    graph = drawing.graph("title")

    assert graph.vertices == (
        Vertex(1, Kind.CHAIN, ("a", "b", "c"), masquerades=True),
        Vertex(2, Kind.END, ("end",)),
    )
    assert graph.edges == (
        Edge(1, 2, "", Fraction(3, 4), masquerades=True),
        Edge(1, 2, "other"),
    )
    assert graph.text == "title: a to end (3/4, masqueraded); a to end (other)"


@given(graphs())
def test_a_label_stands_at_the_last_part_of_its_line(graph: Graph) -> None:
    picture = laid_out(graph)
    found = re.findall(r'<text class="label" x="([-0-9.]+)" y="([-0-9.]+)">', to_svg(graph))
    labelled = [line for line in picture.lines if line.text]

    for (x, y), line in zip(found, labelled, strict=True):
        (x1, y1), (x2, y2) = line.points[-2:]
        assert float(x) >= min(x1, x2)
        # Four above the line, which ends at y2 and comes from y1.
        assert min(y1, y2) - 0.1 <= float(y) + 4 <= max(y1, y2) + 0.1
        assert abs(float(y) + 4 - y2) <= abs(float(y) + 4 - y1) + 0.1
