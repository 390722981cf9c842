"""What every match and target of iptables 1.8.9 takes: the table that the parser reads.

From the `*_opts[]` arrays and the `save` functions in extensions/ of iptables 1.8.9. Options stand
in the order in which they are printed, more of them on indented lines. One takes one word unless
something else is noted behind it:

    --name:0    no word                    --name:s    one word, quoted where it needs to be
    --name:2    two words                  --name:q    one word, always quoted
    --name:?    one word or none           --a|--b     b is another name of a, which is printed

A match that is not here is kept as it is written, and so is an option.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from nptables.immutable import frozen


class Quoting(enum.Enum):
    """How `iptables-save` prints the words of an option."""

    BARE = "bare"
    SAVE_STRING = "save string"
    ALWAYS = "always"


@frozen
class OptionSpec:
    """An option, printed as `name` with so many `words` after it; None means one or none."""

    name: str
    words: int | None = 1
    quoting: Quoting = Quoting.BARE


Options = Mapping[str, OptionSpec]

_WORDS = {"0": 0, "2": 2, "?": None}
_QUOTING = {"s": Quoting.SAVE_STRING, "q": Quoting.ALWAYS}


def _read(text: str) -> Mapping[str, Options]:
    extensions: dict[str, Options] = {}
    for line in text.strip().replace("\n ", " ").splitlines():
        name, *words = line.split()
        options: dict[str, OptionSpec] = {}
        for word in words:
            names, _, note = word.partition(":")
            first, *others = names.split("|")
            quoting = _QUOTING.get(note, Quoting.BARE)
            spec = OptionSpec(first, _WORDS.get(note, 1), quoting)
            for spelling in (first, *others):
                options[spelling] = spec
        extensions[name] = options
    return extensions


MATCHES: Mapping[str, Options] = _read("""
addrtype    --src-type --dst-type --limit-iface-in:0 --limit-iface-out:0
ah          --ahspi --ahlen --ahres:0
bpf         --bytecode:q --object-pinned
cgroup      --cgroup --path:s
cluster     --cluster-total-nodes --cluster-local-node --cluster-local-nodemask --cluster-hash-seed
comment     --comment:s
connbytes   --connbytes --connbytes-mode --connbytes-dir
connlabel   --label:q --set:0
connlimit   --connlimit-upto --connlimit-above --connlimit-mask --connlimit-saddr:0
            --connlimit-daddr:0
connmark    --mark
conntrack   --ctstate --ctproto --ctorigsrc --ctorigdst --ctreplsrc --ctrepldst --ctorigsrcport
            --ctorigdstport --ctreplsrcport --ctrepldstport --ctstatus --ctexpire --ctdir
cpu         --cpu
dccp        --sport|--source-port --dport|--destination-port --dccp-types --dccp-option
devgroup    --src-group --dst-group
dscp        --dscp --dscp-class
dst         --dst-len --dst-opts
ecn         --ecn-tcp-cwr:0 --ecn-tcp-ece:0 --ecn-ip-ect
esp         --espspi
eui64
frag        --fragid --fraglen --fragres:0 --fragfirst:0 --fragmore:0 --fraglast:0
hashlimit   --hashlimit-upto|--hashlimit --hashlimit-above --hashlimit-burst --hashlimit-mode
            --hashlimit-name --hashlimit-htable-size --hashlimit-htable-max
            --hashlimit-htable-gcinterval --hashlimit-htable-expire --hashlimit-srcmask
            --hashlimit-dstmask --hashlimit-rate-match:0 --hashlimit-rate-interval
hbh         --hbh-len --hbh-opts
helper      --helper:s
hl          --hl-eq|--hl --hl-lt --hl-gt
icmp        --icmp-type
icmp6       --icmpv6-type
ipcomp      --ipcompspi --compres:0
iprange     --src-range --dst-range
ipv6header  --header --soft:0
ipvs        --ipvs:0 --vproto --vaddr --vport --vdir --vmethod --vportctl
length      --length
limit       --limit --limit-burst
mac         --mac-source
mark        --mark
mh          --mh-type
multiport   --sports|--source-ports --dports|--destination-ports --ports
nfacct      --nfacct-name:s
osf         --genre --ttl --log
owner       --socket-exists:0 --uid-owner --gid-owner --suppl-groups:0 --pid-owner --sid-owner
            --cmd-owner
physdev     --physdev-is-in:0 --physdev-in --physdev-is-out:0 --physdev-out --physdev-is-bridged:0
pkttype     --pkt-type
policy      --dir --pol --strict:0 --reqid --spi --proto --mode --tunnel-dst --tunnel-src --next:0
quota       --quota
rateest     --rateest --rateest1 --rateest2 --rateest-delta:0 --rateest-bps:? --rateest-bps1:?
            --rateest-bps2:? --rateest-pps:? --rateest-pps1:? --rateest-pps2:? --rateest-lt:0
            --rateest-gt:0 --rateest-eq:0
realm       --realm
recent      --set:0 --rcheck:0 --update:0 --remove:0 --seconds --reap:0 --hitcount --rttl:0 --name
            --mask --rsource:0 --rdest:0
rpfilter    --loose:0 --validmark:0 --accept-local:0 --invert:0
rt          --rt-type --rt-segsleft --rt-len --rt-0-res:0 --rt-0-addrs --rt-0-not-strict:0
sctp        --sport|--source-port --dport|--destination-port --chunk-types:2
set         --match-set:2 --set:2 --return-nomatch:0 --update-counters:0 --update-subcounters:0
            --packets-eq --packets-lt --packets-gt --bytes-eq --bytes-lt --bytes-gt
socket      --transparent:0 --nowildcard:0 --restore-skmark:0
srh         --srh-next-hdr --srh-hdr-len-eq --srh-hdr-len-gt --srh-hdr-len-lt --srh-segs-left-eq
            --srh-segs-left-gt --srh-segs-left-lt --srh-last-entry-eq --srh-last-entry-gt
            --srh-last-entry-lt --srh-tag --srh-psid --srh-nsid --srh-lsid
state       --state
statistic   --mode --probability --every --packet
string      --string:q --hex-string:q --algo --from --to --icase:0
tcp         --sport|--source-port --dport|--destination-port --tcp-option --tcp-flags:2 --syn:0
tcpmss      --mss
time        --timestart --timestop --contiguous:0 --monthdays --weekdays --datestart --datestop
            --kerneltz:0 --utc:0 --localtz:0
tos         --tos
ttl         --ttl-eq|--ttl --ttl-lt --ttl-gt
u32         --u32:q
udp         --sport|--source-port --dport|--destination-port
""")

TARGETS: Mapping[str, Options] = _read("""
ACCEPT
AUDIT       --type
CHECKSUM    --checksum-fill:0
CLASSIFY    --set-class
CLUSTERIP   --new:0 --hashmode --clustermac --total-nodes --local-node --hash-init
CONNMARK    --set-xmark --set-mark --and-mark --or-mark --xor-mark --save-mark:0 --restore-mark:0
            --left-shift-mark --right-shift-mark --nfmask --ctmask --mask
CONNSECMARK --save:0 --restore:0
CT          --notrack:0 --helper --timeout --ctevents --expevents --zone-orig --zone-reply --zone
DNAT        --to-destination --random:0 --persistent:0
DNPT        --src-pfx --dst-pfx
DROP
DSCP        --set-dscp --set-dscp-class
ECN         --ecn-tcp-remove:0 --ecn-tcp-cwr --ecn-tcp-ece --ecn-ip-ect
HL          --hl-set --hl-dec --hl-inc
HMARK       --hmark-tuple --hmark-src-prefix --hmark-dst-prefix --hmark-sport-mask
            --hmark-dport-mask --hmark-spi-mask --hmark-sport --hmark-dport --hmark-spi
            --hmark-proto-mask --hmark-rnd --hmark-mod --hmark-offset
IDLETIMER   --timeout --label --alarm:0
LED         --led-trigger-id:q --led-delay --led-always-blink:0
LOG         --log-prefix:s --log-level --log-tcp-sequence:0 --log-tcp-options:0 --log-ip-options:0
            --log-uid:0 --log-macdecode:0
MARK        --set-xmark --set-mark --and-mark --or-mark --xor-mark
MASQUERADE  --to-ports --random:0 --random-fully:0
NETMAP      --to
NFLOG       --nflog-prefix:s --nflog-group --nflog-range --nflog-size --nflog-threshold
NFQUEUE     --queue-num --queue-balance --queue-bypass:0 --queue-cpu-fanout:0
NOTRACK
QUEUE
RATEEST     --rateest-name --rateest-interval --rateest-ewmalog
REDIRECT    --to-ports --random:0 --random-fully:0
REJECT      --reject-with
RETURN
SECMARK     --selctx
SET         --add-set:2 --del-set:2 --map-set:2 --exist:0 --timeout --map-mark:0 --map-prio:0
            --map-queue:0
SNAT        --to-source --random:0 --random-fully:0 --persistent:0
SNPT        --src-pfx --dst-pfx
SYNPROXY    --sack-perm:0 --timestamp:0 --wscale --mss --ecn:0
TCPMSS      --set-mss --clamp-mss-to-pmtu:0
TCPOPTSTRIP --strip-options
TEE         --gateway --oif
TOS         --set-tos --and-tos --or-tos --xor-tos
TPROXY      --on-port --on-ip --tproxy-mark
TRACE
TTL         --ttl-set --ttl-dec --ttl-inc
ULOG        --ulog-nlgroup --ulog-prefix:s --ulog-cprange --ulog-qthreshold
""")

# `xtables_find_match` in libxtables/xtables.c; the kernel's name is the one that is printed.
MATCH_NAMES: Mapping[str, str] = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6"}

# The options that are iptables' own, and the name they are printed with (`original_opts` in
# iptables/iptables.c; `--out-interface` and so on are synonyms).
BASE_OPTIONS: Mapping[str, str] = {
    "-s": "-s", "--source": "-s", "--src": "-s",
    "-d": "-d", "--destination": "-d", "--dst": "-d",
    "-i": "-i", "--in-interface": "-i",
    "-o": "-o", "--out-interface": "-o",
    "-p": "-p", "--protocol": "-p",
    "-f": "-f", "--fragments": "-f",
    "-m": "-m", "--match": "-m",
    "-j": "-j", "--jump": "-j",
    "-g": "-g", "--goto": "-g",
}  # fmt: skip

# Long options of iptables itself that have no place in a rule line; an abbreviation of one of
# these is not an option of an extension.
OTHER_BASE_OPTIONS: tuple[str, ...] = (
    "--append", "--delete", "--check", "--insert", "--replace", "--list", "--list-rules", "--flush",
    "--zero", "--new-chain", "--delete-chain", "--rename-chain", "--policy", "--table", "--numeric",
    "--verbose", "--wait", "--wait-interval", "--exact", "--version", "--help", "--line-numbers",
    "--modprobe", "--set-counters", "--ipv4", "--ipv6",
)  # fmt: skip

# The match that iptables loads by itself for an option nobody else knows, once `-p` is given
# (`should_load_proto` in iptables/xshared.c): by protocol as printed. icmp is IPv4's, icmp6 IPv6's.
PROTOCOL_MATCHES: Mapping[str, str] = {
    "tcp": "tcp", "udp": "udp", "sctp": "sctp", "dccp": "dccp", "icmp": "icmp",
    "ipv6-icmp": "icmp6", "ah": "ah", "esp": "esp",
}  # fmt: skip

# Options before which iptables up to 1.4.2 printed the `!` of a negation behind the name:
# `--dport ! 80`. None of their values can be a `!`.
NEGATED_BEHIND = frozenset({
    "--sport", "--dport", "--sports", "--dports", "--ports", "--tcp-flags", "--mark", "--state",
    "--ctstate", "--icmp-type", "--icmpv6-type", "--uid-owner", "--gid-owner", "--mac-source",
    "--length", "--ttl-eq", "--tos", "--dscp", "--physdev-in", "--physdev-out",
})  # fmt: skip

# Targets that leave the way of a packet as it is: they write logs, count, or touch fields that no
# routing decision depends on.
EFFECTLESS = frozenset({
    "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "DSCP", "ECN", "HL", "IDLETIMER", "LED", "LOG",
    "NFLOG", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL",
    "ULOG",
})  # fmt: skip
