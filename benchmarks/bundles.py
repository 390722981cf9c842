"""What reading a large sos report costs: `python benchmarks/bundles.py [GIGABYTES] [FORM]`.

Makes a report with so many gigabytes of logs, unpacked, around the listing of a node, in the form
xz, gz or tar, and prints the size of the file, the time, and the memory of who reads it.
"""

from __future__ import annotations

import gzip
import io
import lzma
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

_MIB = 2**20
_TOP = "sosreport-node-a-2026-11-29-abcdefg"
_LISTING = """\
Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    0     0 KUBE-SERVICES  0    --  *      *       0.0.0.0/0            0.0.0.0/0

Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    0     0 KUBE-SERVICES  0    --  *      *       0.0.0.0/0            0.0.0.0/0

Chain POSTROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain KUBE-SERVICES (2 references)
 pkts bytes target     prot opt in     out     source               destination
"""
# What `getrusage` says would be that of this process, from before the other program began.
_READ = """
import pathlib, re, sys, time
from nptables.sources import read_evidence
began = time.process_time()
found = read_evidence(sys.argv[1])
rules = found.rulesets[0].rule_count()
status = pathlib.Path("/proc/self/status").read_text()
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024
print(f"{rules} rules, {time.process_time() - began:.1f} s of processor time, {peak} MB")
"""


def make(path: Path, mebibytes: int, form: str) -> None:
    """Write a report with so much in front of the listings, and again behind them."""
    with _packed(path, form) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        _logs(archive, "var/log/messages", mebibytes // 2)
        rows = "".join(
            f"    0     0 RETURN     6    --  *      *       0.0.0.0/0            10.96.{n // 250}."
            f"{n % 250}            /* default/service-{n} */ tcp dpt:80\n"
            for n in range(10_000)
        )
        _add(archive, "sos_commands/networking/iptables_-t_nat_-nvL", (_LISTING + rows).encode())
        _add(archive, "sos_commands/host/hostname", b"node-a\n")
        _logs(archive, "var/log/pods/kube-system_kube-proxy-abc/kube-proxy/0.log", mebibytes // 4)
        _logs(archive, "var/log/audit/audit.log", mebibytes // 4)


def _packed(path: Path, form: str) -> BinaryIO:
    if form == "gz":
        return gzip.open(path, "wb", 1)  # type: ignore[return-value]
    return lzma.open(path, "wb", preset=0) if form == "xz" else path.open("wb")


def _logs(archive: tarfile.TarFile, name: str, mebibytes: int) -> None:
    """Members of 64 MiB of lines that are alike, as those of logs are."""
    chosen = random.Random(name)
    words = [f"{chosen.getrandbits(64):x}" for _ in range(2000)]
    for number in range(0, mebibytes, 64):
        lines = (
            f"Nov 29 12:{chosen.randrange(60):02} node-a {' '.join(chosen.choices(words, k=9))}\n"
            for _ in range(1 << 16)
        )
        piece = "".join(lines).encode()
        _add(archive, f"{name}.{number}", (piece * 8)[: 64 * _MIB])


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(f"{_TOP}/{name}")
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def main() -> None:
    """Make a report and read it."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    form = sys.argv[2] if len(sys.argv) > 2 else "xz"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        began = time.monotonic()
        make(path, int(gigabytes * 1024), form)
        size = path.stat().st_size / _MIB
        print(f"made {size:.0f} MB of {form} in {time.monotonic() - began:.0f} s")
        subprocess.run([sys.executable, "-c", _READ, path], check=True)


if __name__ == "__main__":
    main()
