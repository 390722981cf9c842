"""Agents as deploy/ runs them: the container of the DaemonSet, and the unit.

There is no container runtime and no systemd here, so what those would do is done with mount(8) and
setpriv(1), from what stands in the manifest and in the unit. The script verifies that nothing but
what is mounted for writing can be written before it starts the agent.
"""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.agents import AgentProcess

MANIFEST = Path("deploy/nptables.yaml")
UNIT = Path("deploy/nptables.service")
RESTRICTED = Path("tests/support/restricted.py")
ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"

# $1 is a folder of the test. Everything under /run is a new file system, as in a container.
_PRELUDE = """
set -eu
mount --make-rprivate /
mkdir -p "$1/run" && mount -t tmpfs tmpfs "$1/run"
mkdir -p "$1/run/nptables" "$1/run/config" "$1/run{account}" "$1/kept"
touch "$1/run/xtables.lock"
mount --bind "$1/kept" "$1/run/nptables"
mount --bind "$1/config" "$1/run/config"
mount --bind "$1/account" "$1/run{account}"
mount --rbind "$1/run" /run
"""

# Makes every mount read-only, /proc and /dev aside, and then those in $writable not.
_READ_ONLY = """
while read -r _ place _; do
    case $place in /proc|/dev|/dev/*) continue;; esac
    mount -o remount,bind,ro "$place" 2>/dev/null || :
done </proc/self/mounts
for place in $writable; do mount -o remount,bind,rw "$place"; done
for place in $frozen; do
    if touch "$place/written" 2>/dev/null; then echo "$place can be written" >&2; exit 99; fi
done
"""


@dataclass
class ConfinedAgent(AgentProcess):
    """`nptables run` with a Pod's service account, which is in `account`."""

    @property
    def account(self) -> Path:
        return self.folder / "account"

    def write_account(self, *, token: str, authority: str = "") -> None:
        """Write the token, and the authority's certificate, as the kubelet does: in one step."""
        self.account.mkdir(exist_ok=True)
        for name, content in (("token", token), ("ca.crt", authority)):
            if content:
                new = self.account / f".{name}"
                new.write_text(content)
                new.rename(self.account / name)

    @property
    def run_folder(self) -> Path:
        return self.folder / "kept"

    def confined(self, script: str, *program: str) -> AgentProcess:
        """Start a program after a script that confines it; `"$@"` is the program there."""
        (self.folder / "config").mkdir(exist_ok=True)
        prelude = _PRELUDE.replace("{account}", ACCOUNT.removeprefix("/run"))
        environment = [
            f"KUBERNETES_SERVICE_HOST={self.server.host}",
            f"KUBERNETES_SERVICE_PORT={self.server.port}",
            f"HOME={self.folder}",
            # Its files would be the first to be written where nothing can be.
            *("-u", "COVERAGE_PROCESS_CONFIG", "-u", "COVERAGE_PROCESS_START"),
        ]
        options = [word for word in environment if word.startswith("-") or "=" not in word]
        values = [word for word in environment if "=" in word]
        argv = ["ip", "netns", "exec", self.namespace.name, "env", *options, *values]
        argv += ["sh", "-c", prelude + "folder=$1; shift\n" + script, "sh", str(self.folder)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([*argv, *program], stderr=log)
        return self

    def interpreter(self) -> list[str]:
        """What stands for the program `nptables`."""
        return [sys.executable, "-m", "tests.support.hasty" if self.hasty else "nptables"]


@dataclass
class ContainedAgent(ConfinedAgent):
    """As the container of the DaemonSet, with its capabilities, mounts, arguments and config."""

    def start(self) -> AgentProcess:
        """See AgentProcess."""
        documents = list(yaml.safe_load_all(MANIFEST.read_text()))
        (config,) = (d["data"]["config.yaml"] for d in documents if d["kind"] == "ConfigMap")
        (spec,) = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "DaemonSet")
        (container,) = spec["containers"]
        self.config = yaml.safe_load(config)
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config" / "config.yaml").write_text(config)
        arguments = [
            word.replace("$(NODE_NAME)", self.node).replace("/etc/nptables/", "/run/config/")
            for word in container["args"]
        ]
        arguments += ["--backend", self.namespace.backend, *self.options]
        script = "writable='/run/nptables /run/xtables.lock'\n"
        script += "mount --bind /run/xtables.lock /run/xtables.lock\n"
        script += "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys\n"
        script += "frozen='/ /run /tmp /var/tmp'\n" + _READ_ONLY
        script += f"exec {shlex.join(_privileges(container['securityContext']))} " + '"$@"'
        return self.confined(script, *self.interpreter(), *arguments)


def _privileges(security: dict[str, Any]) -> list[str]:
    """setpriv with what a container's securityContext leaves."""
    assert security["capabilities"]["drop"] == ["ALL"]
    assert not security["privileged"]
    assert security["readOnlyRootFilesystem"]
    words = _capabilities(f"CAP_{name}" for name in security["capabilities"]["add"])
    return [*words, *([] if security["allowPrivilegeEscalation"] else ["--no-new-privs"])]


def _capabilities(names: Any) -> list[str]:
    kept = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names)
    return ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]


@dataclass
class UnitAgent(ConfinedAgent):
    """As the unit, with those of its restrictions that can be made without systemd.

    These are not: SystemCallFilter, PrivateDevices, and those that refuse what an agent never does
    (ProtectClock, ProtectHostname, ProtectKernelLogs, ProtectKernelModules, RestrictRealtime,
    RestrictSUIDSGID, LockPersonality).
    """

    def start(self) -> AgentProcess:
        """See AgentProcess."""
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(UNIT)
        service = unit["Service"]
        assert service["ProtectSystem"] == "strict"
        assert service["ProtectHome"] == "read-only"
        assert service["PrivateTmp"] == service["NoNewPrivileges"] == "yes"
        (self.folder / "config").mkdir(exist_ok=True)
        self.write_config(self.config or {}).rename(self.folder / "config" / "kube-proxy.yaml")
        _, *arguments = shlex.split(service["ExecStart"])
        arguments = [word.replace("/etc/nptables/", "/run/config/") for word in arguments]
        arguments += ["--backend", self.namespace.backend, "--node", self.node, *self.options]
        # ProtectSystem=strict leaves /dev, /proc and /sys. /tmp, which PrivateTmp would give anew,
        # cannot be written at all here.
        writable = f"/sys {service['ReadWritePaths']} /run/nptables"
        script = f"writable='{writable}'; frozen='/ /var /etc /root /tmp'\n"
        script += 'program=$(readlink -f "$1"); unit=$(readlink -f deploy/nptables.service)\n'
        script += _READ_ONLY
        words = _capabilities(service["CapabilityBoundingSet"].split())
        words += ["--no-new-privs", sys.executable, str(RESTRICTED), str(UNIT)]
        return self.confined(
            script + f'exec {shlex.join(words)} "$@"', *self.interpreter(), *arguments
        )
