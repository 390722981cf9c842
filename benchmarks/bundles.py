"""What reading a large sos report costs: `python benchmarks/bundles.py [GIGABYTES] [FORM]`.

Makes a report with so many gigabytes of logs, unpacked, around the listing of a node, in the form
xz, gz or tar, and prints the size of the file, the time, and the memory of who reads it.
"""

from __future__ import annotations

import gzip
import lzma
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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
_LOG = 16 * _MIB
_PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lambda data: lzma.compress(data, preset=1),
    "gz": lambda data: gzip.compress(data, 1),
    "tar": bytes,
}
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
    """Write a report with so much in front of the listing, and again behind it.

    Each file is packed by itself: packed streams one behind the other are one. Those of the logs
    are all alike but for their names, so that they are packed once.
    """
    pack = _PACKINGS[form]
    logs = _lines(_LOG)
    packed = pack(logs)
    rows = "".join(
        f"    0     0 RETURN     6    --  *      *       0.0.0.0/0            10.96.{n // 250}."
        f"{n % 250}            /* default/service-{n} */ tcp dpt:80\n"
        for n in range(10_000)
    )
    listing = (_LISTING + rows).encode()
    listing += b"\n" * (-len(listing) % tarfile.BLOCKSIZE)
    count = mebibytes * _MIB // len(logs)
    with path.open("wb") as file:
        for number in range(count):
            if number == count // 2:
                name = "sos_commands/networking/iptables_-t_nat_-nvL"
                file.write(pack(_header(name, len(listing)) + listing))
            file.write(pack(_header(f"var/log/messages-{number}", len(logs))) + packed)
        file.write(pack(bytes(2 * tarfile.BLOCKSIZE)))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(f"{_TOP}/{name}")
    info.size = size
    return info.tobuf()


def _lines(size: int) -> bytes:
    """Lines that are as much alike as those of logs."""
    chosen = random.Random(1)
    words = [f"{chosen.getrandbits(64):x}" for _ in range(2000)]
    lines: list[str] = []
    length = 0
    while length < size:
        lines.append(f"Nov 29 12:00:00 node-a kernel: {' '.join(chosen.choices(words, k=9))}\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size]


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
