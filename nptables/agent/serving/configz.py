"""The configuration in use, as a KubeProxyConfiguration: what /configz shows."""

from __future__ import annotations

import json
from typing import Any

from nptables.agent.serving.answers import Answer
from nptables.model import ProxyConfig
from nptables.model.config import API_VERSION, KIND


def configz(config: ProxyConfig) -> Answer:
    """The answer to /configz."""
    body = json.dumps({"kubeproxy.config.k8s.io": document(config)})
    return Answer(200, body.encode(), {"Content-Type": "application/json"})


def document(config: ProxyConfig) -> dict[str, Any]:
    """The fields that nptables looks at, defaults filled in."""
    conntrack = config.conntrack
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "mode": "iptables",
        "clusterCIDR": ",".join(config.cluster_cidrs),
        "detectLocalMode": config.detect_local_mode,
        "detectLocal": {
            "bridgeInterface": config.bridge_interface,
            "interfaceNamePrefix": config.interface_name_prefix,
        },
        "nodePortAddresses": list(config.node_port_addresses),
        "bindAddress": config.bind_address,
        "bindAddressHardFail": config.bind_address_hard_fail,
        "hostnameOverride": config.hostname_override,
        "healthzBindAddress": config.healthz_bind_address,
        "metricsBindAddress": config.metrics_bind_address,
        "clientConnection": {"kubeconfig": config.kubeconfig},
        "configSyncPeriod": _duration(config.config_sync_period),
        "featureGates": {"AllowServiceExternalIPs": config.allow_service_external_ips},
        "iptables": {
            "masqueradeAll": config.masquerade_all,
            "masqueradeBit": config.masquerade_bit,
            "localhostNodePorts": config.localhost_node_ports,
            "syncPeriod": _duration(config.sync_period),
            "minSyncPeriod": _duration(config.min_sync_period),
        },
        "conntrack": {
            "maxPerCore": conntrack.max_per_core or 0,
            "min": conntrack.min or 0,
            "tcpEstablishedTimeout": _duration(conntrack.tcp_established_timeout),
            "tcpCloseWaitTimeout": _duration(conntrack.tcp_close_wait_timeout),
            "tcpBeLiberal": conntrack.tcp_be_liberal,
            "udpTimeout": _duration(conntrack.udp_timeout),
            "udpStreamTimeout": _duration(conntrack.udp_stream_timeout),
        },
    }


def _duration(seconds: float | None) -> str:
    return f"{seconds or 0:g}s"
