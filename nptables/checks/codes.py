"""Every code there is: none ever changes its meaning.

docs/checks.md has a paragraph for each, which ends with its effect and its remedy; `nptables rule`
prints it.
"""

from __future__ import annotations

from nptables.checks.finding import Code, Severity

INFO, WARNING, ERROR = Severity

INVALID_INPUT = Code(
    "NPT001", "invalid-input", ERROR,
    "What was read with it was not checked.",
    "Mend the input, then check it again.",
)  # fmt: skip
IGNORE_UNCLEAR = Code(
    "NPT002", "ignore-unclear", WARNING,
    "This part of the annotation silences nothing.",
    "Write nptables.io/ignore: \"NPT102=why it is meant; NPT205=why\", each code in full.",
)  # fmt: skip
NO_READY_ENDPOINT = Code(
    "NPT101", "no-ready-endpoint", ERROR,
    "Connections are refused on every node, once no terminating endpoint serves any more.",
    "Look at the readiness of the Pods, and at the selector.",
)  # fmt: skip
LOCAL_POLICY_GAP = Code(
    "NPT102", "local-policy-gap", WARNING,
    "These nodes drop external traffic to the Service: the client waits and hears nothing.",
    "Send traffic to the other nodes only (health check), run a Pod on each, or use Cluster.",
)  # fmt: skip
NODE_NAME_MISMATCH = Code(
    "NPT103", "node-name-mismatch", ERROR,
    "These endpoints are local to no Node: a Local policy uses them nowhere.",
    "Write the name of their Node in nodeName, the one that its kube-proxy has "
    "(hostnameOverride) too.",
)  # fmt: skip
SLICE_PORT_MISMATCH = Code(
    "NPT104", "slice-port-mismatch", ERROR,
    "kube-proxy pairs ports by name and protocol, finds no endpoint and refuses connections.",
    "Give the port of the EndpointSlice the name and the protocol of the Service's port.",
)  # fmt: skip
INTERNAL_LOCAL_GAP = Code(
    "NPT105", "internal-local-gap", WARNING,
    "Pods on these nodes cannot reach the Service: their packets are dropped.",
    "Run a Pod of it on every node that has clients, or use the Cluster policy.",
)  # fmt: skip
TARGET_PORT_UNKNOWN = Code(
    "NPT106", "target-port-unknown", ERROR,
    "A Pod without a container port of that name never becomes an endpoint of this port.",
    "Name the container port, or give targetPort as a number.",
)  # fmt: skip
ENDPOINTS_UNREAD = Code(
    "NPT107", "endpoints-unread", WARNING,
    "Whether the Service has endpoints, and where, is unknown, so it is not checked.",
    "Give what was left out in a form that can be read.",
)  # fmt: skip
ENDPOINTS_TRUNCATED = Code(
    "NPT108", "endpoints-truncated", WARNING,
    "Endpoints hold 1,000 addresses at most: rules made of them leave the other endpoints out.",
    "Read the EndpointSlices: they hold all of them.",
)  # fmt: skip
NO_NODE_NAME = Code(
    "NPT109", "no-node-name", ERROR,
    "Every node drops the packets: no endpoint says which node it is on, so none is local.",
    "Give the endpoints nodeName (whatever writes the EndpointSlice sets it), or use Cluster.",
)  # fmt: skip
SELECTOR_SLIP = Code(
    "NPT130", "selector-slip", ERROR,
    "Nothing is selected: connections are refused on every node.",
    "Write the label alike in the selector and in the Pod template.",
)  # fmt: skip
SELECTOR_LABEL_TOO_MANY = Code(
    "NPT131", "selector-label-too-many", ERROR,
    "Nothing is selected: connections are refused on every node.",
    "Remove the label from the selector, or write it in the Pod template.",
)  # fmt: skip
SELECTOR_LABELS_ON_WORKLOAD = Code(
    "NPT132", "selector-labels-on-workload", ERROR,
    "A Service selects Pods, and Pods get the labels of the template: connections are refused.",
    "Write the labels in spec.template.metadata.labels too.",
)  # fmt: skip
SELECTOR_OTHER_NAMESPACE = Code(
    "NPT133", "selector-other-namespace", ERROR,
    "A Service selects Pods of its own namespace only: connections are refused on every node.",
    "Put the Service and the Pods in one namespace.",
)  # fmt: skip
SELECTOR_SHARED = Code(
    "NPT134", "selector-shared", WARNING,
    "Part of the connections go to Pods that do not listen, and are refused there.",
    "Give the selector a label that only the Pods have that are meant.",
)  # fmt: skip
SELECTOR_FITS_NONE = Code(
    "NPT135", "selector-fits-none", WARNING,
    "With these manifests alone nothing is selected, and connections are refused on every node.",
    "Give the selector the labels of the Pods, or the input the workload that is missing.",
)  # fmt: skip
PODS_OF_OPERATOR = Code(
    "NPT136", "pods-of-operator", INFO,
    "Whether anything is selected depends on the labels that the operator gives its Pods.",
    "Compare the selector with the labels of the Pods in a cluster.",
)  # fmt: skip
NO_REPLICAS = Code(
    "NPT137", "no-replicas", WARNING,
    "Connections are refused on every node until the workload is scaled up.",
    "Set replicas to 1 or more, or leave it to an autoscaler.",
)  # fmt: skip
TARGET_PORT_DIFFERS = Code(
    "NPT138", "target-port-differs", WARNING,
    "Each Pod resolves the name for itself, so connections go to different ports.",
    "Give the port the same number in all, unless both are meant.",
)  # fmt: skip
TARGET_PORT_UNDECLARED = Code(
    "NPT139", "target-port-undeclared", INFO,
    "A container may listen on a port that it does not declare; if it does not, connections are "
    "refused.",
    "Compare targetPort with what the program listens on, and declare the port.",
)  # fmt: skip
TARGET_PORT_PROTOCOL = Code(
    "NPT140", "target-port-protocol", ERROR,
    "A named port counts only with its own protocol: no Pod becomes an endpoint of this port.",
    "Give the Service's port and the container's port the same protocol.",
)  # fmt: skip
READINESS_PORT_UNKNOWN = Code(
    "NPT141", "readiness-port-unknown", ERROR,
    "The probe fails for ever, so no Pod becomes ready and connections are refused.",
    "Let the probe ask a port that the container has.",
)  # fmt: skip
READINESS_PORT_UNDECLARED = Code(
    "NPT142", "readiness-port-undeclared", INFO,
    "If nothing listens there, no Pod ever becomes ready.",
    "Compare the port of the probe with what the program listens on, and declare it.",
)  # fmt: skip
READINESS_GATE = Code(
    "NPT143", "readiness-gate", INFO,
    "No Pod is ready before a controller sets the condition.",
    "See that the controller runs, or remove the readiness gate.",
)  # fmt: skip
NODE_PORT_TWICE = Code(
    "NPT201", "node-port-twice", ERROR,
    "One Service gets all the packets, the others none.",
    "Give each its own nodePort, or let the API server choose.",
)  # fmt: skip
NODE_PORT_UNUSUAL = Code(
    "NPT202", "node-port-unusual", WARNING,
    "An API server with the usual range refuses it; elsewhere it may hide a port of the node.",
    "Use 30000 to 32767, or set --service-node-port-range on the API server.",
)  # fmt: skip
SAME_ADDRESS = Code(
    "NPT203", "same-address", ERROR,
    "One Service gets all the packets, the others none.",
    "Give each its own address or port.",
)  # fmt: skip
NODE_PORT_UNPROTECTED = Code(
    "NPT204", "node-port-unprotected", WARNING,
    "loadBalancerSourceRanges guard the load-balancer addresses only; anybody who reaches a node "
    "reaches the Service by its nodePort.",
    "Set allocateLoadBalancerNodePorts: false and remove the nodePort, or close it in a firewall.",
)  # fmt: skip
EXTERNAL_IPS = Code(
    "NPT205", "external-ips", WARNING,
    "Who may write this field can take over traffic to any address (CVE-2020-8554); it is "
    "deprecated.",
    "Use a load balancer; switch AllowServiceExternalIPs off.",
)  # fmt: skip
HEALTH_CHECK_PORT_TAKEN = Code(
    "NPT206", "health-check-port-taken", ERROR,
    "The load balancer's health checks are answered by another Service, or by nobody: it sends "
    "traffic to the wrong nodes, or to none.",
    "Give each its own port, or let the API server choose healthCheckNodePort and nodePort.",
)  # fmt: skip
EXTERNAL_IP_OF_NODE = Code(
    "NPT207", "external-ip-of-node", WARNING,
    "What listens at that port of the node itself is no longer reached: the Service takes it.",
    "Use an address that no node has, or a port that nothing on the node uses.",
)  # fmt: skip
HINTS_IGNORED = Code(
    "NPT301", "hints-ignored", WARNING,
    "Traffic leaves the zone or the node although the endpoints carry hints.",
    "Give every ready endpoint a hint, and the node its topology label.",
)  # fmt: skip
AFFINITY_MEMORY = Code(
    "NPT302", "affinity-memory", INFO,
    "The kernel remembers 100 clients for each endpoint; the 101st pushes out the oldest, which "
    "may then reach another endpoint.",
    "Load xt_recent with a larger ip_list_tot on the nodes, or do not rely on affinity.",
)  # fmt: skip
AFFINITY_TIMEOUT = Code(
    "NPT303", "affinity-timeout", INFO,
    "A client that pauses longer than this may reach another endpoint.",
    "Use the default of 10800 seconds unless a short time is meant.",
)  # fmt: skip
AFFINITY_PER_PORT = Code(
    "NPT304", "affinity-per-port", INFO,
    "Each port remembers clients by itself: a client may reach another endpoint on each port.",
    "Do not rely on one endpoint across ports.",
)  # fmt: skip
AFFINITY_UDP = Code(
    "NPT305", "affinity-udp", INFO,
    "A UDP flow stays with its endpoint as long as conntrack knows it, whatever the timeout.",
    "Expect a flow to change its endpoint only after it has been silent for a while.",
)  # fmt: skip
HINTS_MISSING = Code(
    "NPT306", "hints-missing", WARNING,
    "Traffic goes to the endpoints of all zones: without hints nothing keeps it near.",
    "Look at the Events of the Service: Auto gives no hints with few endpoints for the zones, "
    "or where a Node has no zone label.",
)  # fmt: skip
PRIMARY_WITHOUT_ADDRESS = Code(
    "NPT401", "primary-without-address", WARNING,
    "nodePortAddresses is primary and the node has no address of the family: node ports of it "
    "then answer on every address.",
    "Give the node an address of the family, or name networks in nodePortAddresses.",
)  # fmt: skip
LEFT_OUT = Code(
    "NPT402", "left-out", WARNING,
    "What cannot be used is left out: what it says is not among the rules.",
    "Correct the object.",
)  # fmt: skip
NO_NODE_PORT_ADDRESS = Code(
    "NPT403", "no-node-port-address", WARNING,
    "Nobody outside the node reaches its node ports.",
    "Name a network in nodePortAddresses that holds an address of the node, or `primary`.",
)  # fmt: skip
FORWARD_DROPS = Code(
    "NPT501", "forward-drops", WARNING,
    "What no rule accepts is not forwarded: connections to pods depend on the network plugin.",
    "Accept the pod network in FORWARD, or set the policy to ACCEPT.",
)  # fmt: skip
FOREIGN_STOP = Code(
    "NPT502", "foreign-stop", WARNING,
    "A packet that this rule matches never comes to the rules for Services.",
    "Look whether it may match traffic of Services; `nptables trace --live` follows a packet.",
)  # fmt: skip
TWO_BACKENDS = Code(
    "NPT503", "two-backends", WARNING,
    "A packet passes both sets of tables; what one accepts the other may drop.",
    "Use one backend; remove the rules of the other.",
)  # fmt: skip
OTHER_MODE = Code(
    "NPT504", "other-mode-leftovers", WARNING,
    "Another mode of kube-proxy left what may still translate packets.",
    "Run `kube-proxy --cleanup`, or remove what is named.",
)  # fmt: skip
NOT_FORWARDING = Code(
    "NPT505", "not-forwarding", ERROR,
    "The node forwards nothing, so no packet reaches a pod.",
    "sysctl -w net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1).",
)  # fmt: skip
NO_ROUTE_LOCALNET = Code(
    "NPT506", "no-route-localnet", WARNING,
    "Node ports do not answer on 127.0.0.1.",
    "sysctl -w net.ipv4.conf.all.route_localnet=1, or set localhostNodePorts to false.",
)  # fmt: skip
STRICT_RP_FILTER = Code(
    "NPT507", "strict-rp-filter", WARNING,
    "The kernel drops packets of pods whose way back it does not expect.",
    "Set rp_filter to 0 or 2 on the interfaces of pods.",
)  # fmt: skip
NOT_LIBERAL = Code(
    "NPT508", "not-liberal", INFO,
    "Packets outside the TCP window are dropped as invalid by a rule of KUBE-FORWARD.",
    "Set conntrack.tcpBeLiberal where the network loses or reorders packets.",
)  # fmt: skip
MISSING_JUMP = Code(
    "NPT509", "missing-jump", ERROR,
    "The rules for Services are there, and no packet comes to them.",
    "Run `nptables apply`, and find out who flushed the chain.",
)  # fmt: skip
STALE_CHAIN = Code(
    "NPT510", "stale-chain", WARNING,
    "Rules for Services or endpoints that the cluster no longer has.",
    "Run `nptables apply`.",
)  # fmt: skip
DRIFT = Code(
    "NPT511", "drift", WARNING,
    "The node does not do what the cluster says.",
    "Look with `nptables diff --live`, then run `nptables apply`.",
)  # fmt: skip
KUBE_PROXY_RUNS = Code(
    "NPT512", "kube-proxy-runs", INFO,
    "At each sync it deletes the service chains that it does not know.",
    "Let one of the two program this node.",
)  # fmt: skip

SHARED_CHAIN = Code(
    "NPT513", "shared-chain", ERROR,
    "Every packet passes this chain, which kubelet and kube-proxy share: the rule stops or "
    "changes packets that are none of its business, which can cut the node off.",
    "Delete the rule (iptables -D CHAIN ...), and make all programs on the node use one version "
    "of iptables.",
)  # fmt: skip
STALE_CONNECTION = Code(
    "NPT514", "stale-connection", WARNING,
    "The kernel goes on sending this client's packets there, whatever the rules say, as long as "
    "they come.",
    "Delete the entries: conntrack -D -p udp --orig-dst ADDRESS --orig-port-dst PORT.",
)  # fmt: skip
NO_HAIRPIN = Code(
    "NPT515", "no-hairpin", WARNING,
    "A pod there that is sent to itself through its Service gets no answer: the bridge does not "
    "send a packet back to the port that it came from.",
    "Set hairpinMode in the configuration of the CNI bridge plugin.",
)  # fmt: skip
AFFINITY_LIST_FULL = Code(
    "NPT516", "affinity-list-full", WARNING,
    "Each new client makes the kernel forget another, whose next connection may go to another "
    "endpoint.",
    "Load xt_recent with a larger ip_list_tot, or do not rely on ClientIP affinity.",
)  # fmt: skip
ANOTHER_PROXY = Code(
    "NPT517", "another-proxy", WARNING,
    "What the rules of kube-proxy's iptables mode do is not what happens to packets, so they are "
    "not compared.",
    "Ask the program that handles Services; clear rules that are left with "
    "`kube-proxy --cleanup` or `nptables cleanup`.",
)  # fmt: skip
RULES_BEHIND = Code(
    "NPT518", "rules-behind", ERROR,
    "The node sends packets for these Services elsewhere than the cluster says, or nowhere.",
    "Look at the cause that is named: whether kube-proxy runs there, what its log says, which "
    "node name and which cluster it has.",
)  # fmt: skip

BEHIND = Code(
    "NPT601", "kube-proxy-behind", ERROR,
    "Nothing that changed since then has reached the node: new Services do not answer there, and "
    "packets go to Pods that are gone.",
    "Look at the log of kube-proxy on the node and at its way to the API server; restart it.",
)  # fmt: skip
STOPPED = Code(
    "NPT602", "kube-proxy-stopped", ERROR,
    "No kube-proxy runs on the node, and its rules stay as they were when it ended.",
    "Start kube-proxy on the node: look at the events of its Pod, or at its service.",
)  # fmt: skip
OTHER_NODE_NAME = Code(
    "NPT603", "other-node-name", ERROR,
    "kube-proxy takes endpoints of another node, or none, for its own: policy Local leads nowhere "
    "or to the wrong Pods, and so do hints.",
    "Give kube-proxy the name of the Node: --hostname-override, or the NODE_NAME of its Pod.",
)  # fmt: skip
OTHER_CONFIGURATION = Code(
    "NPT604", "other-configuration", WARNING,
    "The node treats packets to all Services differently from the other nodes.",
    "Compare its configuration with that of the other nodes, then restart its kube-proxy.",
)  # fmt: skip
FOREIGN_RULE = Code(
    "NPT605", "foreign-rule-in-front", ERROR,
    "Packets to Services that the rule matches never come to the rules for Services.",
    "Find out who wrote the rule, and remove it or let it stand behind the jumps of kube-proxy.",
)  # fmt: skip
FLUSHED = Code(
    "NPT606", "table-flushed", ERROR,
    "No packet comes to the rules for Services, or there are none.",
    "Restart kube-proxy, and find out who flushed the table (a firewall that was restarted).",
)  # fmt: skip
LEFTOVERS = Code(
    "NPT607", "leftovers-of-another-mode", ERROR,
    "Rules that nothing updates any more still match packets to Services, before or after the "
    "current rules.",
    "Run `kube-proxy --cleanup` on the node with its kube-proxy stopped, or restart the node.",
)  # fmt: skip
OTHER_VERSION = Code(
    "NPT608", "other-version", WARNING,
    "The node does what another version of kube-proxy does.",
    "Look which kube-proxy runs there, and bring it to the version of the others.",
)  # fmt: skip
DAMAGED = Code(
    "NPT609", "damaged-chain", ERROR,
    "No state of the cluster explains these rules: somebody changed them, or kube-proxy failed "
    "half way.",
    "Restart kube-proxy: it writes all rules anew. `nptables apply` does so too.",
)  # fmt: skip
MISSED = Code(
    "NPT610", "missed-change", ERROR,
    "kube-proxy knows newer changes and has missed these: a watch lost them, and nothing brings "
    "them back.",
    "Restart kube-proxy on the node: it lists everything anew.",
)  # fmt: skip
FAMILY_BEHIND = Code(
    "NPT611", "family-behind", ERROR,
    "One family of addresses is served as the cluster says and the other is not.",
    "Look for errors of the family in the log of kube-proxy (ip6tables), and restart it.",
)  # fmt: skip
NODE_UNREADABLE = Code(
    "NPT612", "node-unreadable", WARNING,
    "Nothing is known of the node, neither good nor bad.",
    "Run `nptables collect` again: it fetches what is missing.",
)  # fmt: skip
OTHER_PROXY = Code(
    "NPT613", "other-proxy", INFO,
    "Services on the node are not handled by rules of iptables, so there are none to judge.",
    "Ask that program what it does.",
)  # fmt: skip

CODES: dict[str, Code] = {
    code.code: code for code in list(globals().values()) if isinstance(code, Code)
}
