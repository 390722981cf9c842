"""Bundles that are cut, reordered, damaged or in other encodings: a verdict is right, or none."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nptables import Family, InvalidInput, load
from nptables.sources import evidence_in, read_evidence
from nptables.sources.archives import Budget, Damaged, Refused, archive_members
from nptables.sources.evidence import read_all_evidence
from tests.support import bundles
from tests.support.bundles import Node, as_tar
from tests.support.scenarios import named_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from nptables.evidence import Evidence

SCENARIO = named_scenario("nodeport-dual-stack")
NODE = Node(SCENARIO.dumps)
FILES = {**bundles.rancher(NODE), **bundles.must_gather(SCENARIO.objects)}
WHOLE = as_tar(FILES)
EXPECTED = {f: evidence_in(NODE.dumps[f.name], f).of(f)[0].to_save() for f in Family}
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "bundle"


def evidence(path: Path, data: bytes) -> Evidence | None:
    """What is read of an archive, None where it is refused; no other error is one."""
    path.write_bytes(data)
    # Two files of one time and size would be taken for one.
    os.utime(path, ns=(random.getrandbits(60), random.getrandbits(60)))
    try:
        return read_evidence(path)
    except InvalidInput:
        return None


def is_right(found: Evidence | None) -> None:
    """Every ruleset that is claimed is the one that the node has."""
    for ruleset in found.rulesets if found is not None else ():
        assert EXPECTED[ruleset.family] == ruleset.to_save()


@FEW
@given(st.integers(600, len(WHOLE)), st.booleans())
def test_a_cut_bundle_has_whole_rules_or_none(path: Path, length: int, packed: bool) -> None:  # noqa: FBT001
    """Wherever it is cut; objects of it are refused."""
    data = gzip.compress(WHOLE, 1) if packed else WHOLE
    found = evidence(path, data[: max(600, length * len(data) // len(WHOLE))])
    is_right(found)
    if found is not None and length < len(WHOLE) - 10240:
        assert any("breaks off" in gap.why for gap in found.gaps)
        assert not load(path).usable


@FEW
@given(st.permutations(list(FILES)), st.integers(0, 3))
def test_the_order_of_members_means_nothing(path: Path, order: list[str], missing: int) -> None:
    """And what is left out is missing, not wrong."""
    is_right(evidence(path, as_tar({name: FILES[name] for name in order[missing:]})))


@FEW
@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_end_in_a_sentence_at_worst(
    path: Path, changes: list[tuple[int, int]]
) -> None:
    """In a plain archive, in headers and contents, and in a packed one."""
    for whole in (WHOLE, gzip.compress(WHOLE, 1)):
        data = bytearray(whole)
        for at, value in changes:
            data[at % len(data)] = value
        evidence(path, bytes(data))
        load(path)


@FEW
@given(st.binary(max_size=2000), st.sampled_from(["", "gz", "xz", "bz2"]))
def test_any_bytes_behind_a_good_header_are_read_or_refused(
    path: Path, data: bytes, packing: str
) -> None:
    """The reader of tar alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    head = buffer.getvalue()[:1024] + data
    path.write_bytes(head if not packing else as_tar({"x.tar": head}, packing))
    try:
        found = [m.read() for m in archive_members(str(path), lambda _: True, Budget("x"))]
    except (Damaged, Refused):
        return
    assert b"abc" in found or packing


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1", "cp037"])
def test_another_encoding_of_the_rules_is_read_or_said(path: Path, encoding: str) -> None:
    """A dump that passed through Windows, or a comment in Latin-1; never a part of the rules."""
    text = NODE.dumps["IPV4"].replace("nodeport-service", "nødeport-service", 1)
    files = {**FILES, "./networking/iptablessave": text.encode(encoding)}
    found = evidence(path, as_tar(files))

    assert found is not None
    lines = [r.to_save() for r in found.rulesets if r.family is Family.IPV4]
    if encoding == "utf-16":
        assert len(lines) == 1
    else:
        assert lines == []
        assert any("iptablessave" in str(gap) for gap in found.gaps)


def test_listings_that_are_cut_are_never_whole(path: Path) -> None:
    """The EKS collector counts what it lists; without the count the listing itself tells."""
    files = bundles.eks(Node({}, {("IPV4", "nat"): LISTING}))
    name = "networking/iptables-nat.txt"
    for length in range(0, len(files[name]), 397):
        found = evidence(path, as_tar({**files, name: files[name][:length]}))
        for ruleset in found.rulesets if found is not None else ():
            rules = sum(map(len, ruleset.tables["nat"].chains.values()))
            assert rules == RULES or ruleset.unshown.open, length


LISTING = """\
Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    0     0 KUBE-SERVICES  0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* x */

Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    0     0 KUBE-SERVICES  0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* x */

Chain POSTROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain KUBE-SERVICES (2 references)
 pkts bytes target     prot opt in     out     source               destination
    0     0 RETURN     6    --  *      *       0.0.0.0/0            10.96.0.1            tcp dpt:443
    0     0 RETURN     6    --  *      *       0.0.0.0/0            10.96.0.2            tcp dpt:443
    0     0 RETURN     6    --  *      *       0.0.0.0/0            10.96.0.3            tcp dpt:443
"""
RULES = 5


def test_nothing_of_a_bundle_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that climb, links that lead out, and members in their place: no file is written."""
    monkeypatch.chdir(tmp_path)
    files = {
        **FILES,
        "../networking/iptablessave": b"*nat\n:PREROUTING DROP [0:0]\nCOMMIT\n",
        "/etc/iptablessave": b"*nat\nCOMMIT\n",
        "sosreport-x/../../sos_commands/networking/iptables-save": b"*nat\nCOMMIT\n",
    }
    (tmp_path / "bundle").write_bytes(as_tar(files))

    found = read_all_evidence(tmp_path / "bundle")

    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
    assert found is not None
    (one,) = found
    is_right(one)
    assert any("3 files whose paths lead outside it" in gap.why for gap in one.gaps)
