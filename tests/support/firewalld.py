"""A real firewalld in a network namespace, with a bus, a configuration and programs of its own.

Nothing of it reaches the machine. Its tables and its bus live in the network namespace. In a mount
namespace of its own /run is empty but for the lock of xtables, /etc/alternatives leads to the
iptables backend that the test wants, and rmmod does nothing: `firewall-cmd --complete-reload`
would unload the modules of the whole machine.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.support.agents import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Backend, Namespace

# What a test has to require.
NEEDS = ("firewalld", "firewall-cmd", "dbus-daemon", "ipset", "nft", "alternatives")
FIXTURES = Path("fixtures/firewalld").resolve()
ADDRESS = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:abstract=nptables-test"}
# In the folder $0. What is mounted here goes with the mount namespace that ip netns exec made.
START = """
cd "$0"
touch /run/xtables.lock lock
mount --bind /run/xtables.lock lock
mount -t tmpfs none /run
touch /run/xtables.lock
mount --bind lock /run/xtables.lock
mount --bind alternatives /etc/alternatives
for program in /sbin/rmmod /sbin/modprobe; do
    if [ -e "$program" ]; then mount --bind /bin/true "$program"; fi
done
exec firewalld --nofork --nopid --system-config "$0/config" --log-target file --log-file "$0/log"
"""
# An iptables-restore that waits with the rules that come after the flush while a file is there.
HELD = """#!/bin/sh
text=$(cat)
case $text in *"-A INPUT -j INPUT_direct"*)
    touch '{folder}/reached'
    while [ -e '{folder}/held' ]; do sleep 0.05; done
esac
printf '%s\\n' "$text" | {program} "$@"
"""


@dataclass
class Firewalld:
    """firewalld, started and stopped as its service would be.

    `iptables` is the backend of the iptables programs that it finds, `backend` its own.
    """

    namespace: Namespace
    folder: Path
    iptables: Backend
    backend: Literal["iptables", "nftables"] = "iptables"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Write its configuration and choose its programs."""
        shutil.copytree(FIXTURES / "config", self.folder / "config")
        (self.folder / "config/firewalld.conf").write_text(
            f"DefaultZone=public\nLogDenied=all\nFirewallBackend={self.backend}\n"
        )
        (self.folder / "log").touch()
        shutil.copytree("/etc/alternatives", self.folder / "alternatives", symlinks=True)
        for program in ("iptables", "ip6tables"):
            for suffix in ("", "-restore", "-save"):
                self._choose(program + suffix, f"{program}-{self.iptables}{suffix}")

    def start(self) -> None:
        """Start it and wait until its rules stand."""
        argv = ["ip", "netns", "exec", self.namespace.name, "sh", "-euc", START, str(self.folder)]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                argv, stdout=output, stderr=output, env={**_environment(), **ADDRESS}
            )
        wait_for(self._is_running, 60)

    def stop(self) -> None:
        """Stop it as its service is stopped, and wait for its end."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(30) == 0

    def command(self, *arguments: str) -> None:
        """Run firewall-cmd."""
        self.namespace.run(["firewall-cmd", *arguments], env=ADDRESS)

    @contextlib.contextmanager
    def held_while_reloading(self) -> Iterator[None]:
        """Reload; what is inside happens when everything is flushed and its rules do not stand."""
        held, reached = self.folder / "held", self.folder / "reached"
        held.touch()
        program = f"iptables-{self.iptables}-restore"
        slow = self.folder / "slow-restore"
        slow.write_text(HELD.format(folder=self.folder, program=program))
        slow.chmod(0o755)
        self._choose("iptables-restore", str(slow))
        argv = ["ip", "netns", "exec", self.namespace.name, "firewall-cmd", "--reload"]
        reload = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, env={**_environment(), **ADDRESS}
        )
        try:
            wait_for(reached.exists, 60)
            yield
        finally:
            held.unlink()
            code = reload.wait(60)
            reached.unlink(missing_ok=True)
            self._choose("iptables-restore", program)
        assert code == 0

    def complaints(self) -> list[str]:
        """What it logged: it says nothing while all goes well."""
        text = (self.folder / "log").read_text() + (self.folder / "output").read_text()
        return text.splitlines()

    def _choose(self, name: str, program: str) -> None:
        path = shutil.which(program)
        assert path is not None
        link = self.folder / "alternatives" / name
        link.unlink(missing_ok=True)
        link.symlink_to(path)

    def _is_running(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.complaints()
        asked = self.namespace.run(["firewall-cmd", "--state"], env=ADDRESS, check=False)
        return asked.stdout.strip() == "running"


@contextlib.contextmanager
def firewalld(
    namespace: Namespace,
    folder: Path,
    *,
    iptables: Backend,
    backend: Literal["iptables", "nftables"] = "iptables",
) -> Iterator[Firewalld]:
    """Start a bus and a firewalld, and end both whatever happens."""
    made = Firewalld(namespace, folder, iptables, backend)
    made.prepare()
    with _bus(namespace):
        made.start()
        try:
            yield made
        finally:
            if made.process is not None and made.process.poll() is None:
                made.process.kill()
                made.process.wait()


@contextlib.contextmanager
def _bus(namespace: Namespace) -> Iterator[None]:
    argv = ["ip", "netns", "exec", namespace.name, "dbus-daemon", "--nofork", "--nopidfile"]
    argv += ["--print-address=1", f"--config-file={FIXTURES / 'bus.conf'}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as bus:
        try:
            assert bus.stdout is not None
            assert bus.stdout.readline(), "dbus-daemon did not start"
            yield
        finally:
            bus.terminate()
            bus.wait(20)


def _environment() -> dict[str, str]:
    """Nothing of the tests' own Python for a program of the machine's Python."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
