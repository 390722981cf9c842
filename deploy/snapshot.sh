#!/bin/sh
# Print all that this node has as text, for `nptables ... --snapshot FILE` elsewhere: what
# `nptables snapshot` takes, where there is no Python. Nothing is changed.
#
#   sh snapshot.sh > node1.txt
#   kubectl -n kube-system exec -i kube-proxy-abcde -- sh -s < snapshot.sh > node1.txt
#   kubectl debug node/node1 -i --quiet --profile=sysadmin --image=busybox -- \
#       chroot /host sh -s < snapshot.sh > node1.txt
#
# It needs sh, iptables and coreutils (or busybox). What is missing is left out, and said on
# standard error. No environment, token or kubeconfig gets in: see docs/snapshot.md.
#
# Every marker line begins with a random number that is made here, so that no rule, name or
# argument can look like one. The contents of a section stand between two of them as they are,
# with one line end more.

set -u
umask 077
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
export LC_ALL PATH
newline='
'
one=$(printf '\001')
left_out='(left out)'

nonce=$(od -An -v -N16 -tx1 /dev/urandom 2>/dev/null | tr -d ' \n')
if [ "${#nonce}" -ne 32 ]; then
    nonce=$(tr -d '\n-' 2>/dev/null </proc/sys/kernel/random/uuid)
fi
if [ "${#nonce}" -ne 32 ]; then
    echo 'error: neither /dev/urandom nor /proc can be read' >&2
    exit 3
fi

# Dumps are kept in a file until they are known to be whole, where there is room for one.
kept=$(mktemp 2>/dev/null) || kept=
trap '[ -z "$kept" ] || rm -f "$kept" "$kept.said"' EXIT
trap 'exit 130' HUP INT TERM

has() { command -v "$1" >/dev/null 2>&1; }

limit=
if has timeout && timeout 5 true 2>/dev/null; then
    limit='timeout 180'
fi

begin() { printf '%s begin %s\n' "$nonce" "$1"; }
end() { printf '\n%s end %s\n' "$nonce" "$1"; }

# text NAME CONTENTS
text() {
    begin "$1"
    printf '%s' "$2"
    end 0
}

# gap WHAT WHY
gap() {
    text "gap $1" "$2"
    printf 'warning: %s: %s\n' "$1" "$2" >&2
}

# section NAME COMMAND...: what a program prints, how it ends, and what it says besides
section() {
    name=$1
    shift
    begin "$name"
    { said=$($limit "$@" 2>&1 1>&3 3>&-); code=$?; } 3>&1
    end "$code"
    [ -z "$said" ] || text "said $name" "$said"
    return "$code"
}

# file NAME PATH: a file as it is, unless it cannot be read
file() {
    [ -r "$2" ] || return 1
    section "$1" cat "$2"
}

# One that iptables-nft-save reads while others write has chains twice; legacy tables are read at once.
# is_whole BACKEND
is_whole() {
    [ "$1" != legacy ] && has awk || return 0
    awk '/^\*/ { split("", seen) }
         /^:/ { if ($1 in seen) exit 1; seen[$1] = 1 }' "$kept"
}

# tables BACKEND FAMILY PROGRAM...
tables() {
    name="tables $1 $2"
    backend=$1
    shift 2
    if [ -z "$kept" ]; then
        section "$name" "$@" -c
        return
    fi
    for _ in 1 2 3 4 5; do
        $limit "$@" -c >"$kept" 2>"$kept.said"
        code=$?
        [ "$code" -eq 0 ] || break
        is_whole "$backend" && break
    done
    begin "$name"
    cat "$kept"
    end "$code"
    [ ! -s "$kept.said" ] || file "said $name" "$kept.said"
}

# both PROGRAM FAMILY NAMES: the tables of both backends
both() {
    if has "$1-nft-save"; then
        tables nft "$2" "$1-nft-save"
    elif has xtables-nft-multi; then
        tables nft "$2" xtables-nft-multi "$1-save"
    elif has "$1-save"; then
        tables - "$2" "$1-save"
        case $("$1-save" -V 2>/dev/null) in
        *nf_tables*) ;;
        *) return ;;
        esac
    else
        gap "$2 nft tables" "the program $1-nft-save is not installed"
    fi
    # Reading a legacy table that does not exist would create it.
    if [ ! -e "$3" ]; then
        there=
    elif ! there=$(cat "$3" 2>/dev/null); then
        gap "$2 legacy tables" "$3 can be read by root alone"
        return
    fi
    if has "$1-legacy-save"; then
        if [ -n "$there" ]; then
            tables legacy "$2" "$1-legacy-save"
        else
            text "tables legacy $2" ''
        fi
    elif [ -n "$there" ] && has xtables-legacy-multi; then
        tables legacy "$2" xtables-legacy-multi "$1-save"
    elif [ -n "$there" ]; then
        gap "$2 legacy tables" "the program $1-legacy-save is not installed"
    fi
    [ -z "$there" ] || text "legacy-names $2" "$there"
}

chains_of() {
    case $1 in
    raw) echo 'PREROUTING OUTPUT' ;;
    mangle) echo 'PREROUTING INPUT FORWARD OUTPUT POSTROUTING' ;;
    nat) echo 'PREROUTING INPUT OUTPUT POSTROUTING' ;;
    *) echo 'INPUT FORWARD OUTPUT' ;;
    esac
}

native() {
    if ! has nft; then
        gap 'native nft tables' 'the program nft is not installed'
        return
    fi
    # Beside 120,000 chains `nft list tables` takes minutes, and this seconds.
    listed=$($limit nft list chains 2>/dev/null) || {
        gap 'native nft tables' "nft could not list them: $(nft list chains 2>&1 >/dev/null)"
        return
    }
    printf '%s\n' "$listed" | cut -f1 | sort -u | while read -r word family table _; do
        [ "$word" = table ] || continue
        case "$family $table" in
        'ip raw' | 'ip mangle' | 'ip nat' | 'ip filter' | 'ip security' | \
            'ip6 raw' | 'ip6 mangle' | 'ip6 nat' | 'ip6 filter' | 'ip6 security')
            for chain in $(chains_of "$table"); do
                section nft-chain nft -j list chain "$family" "$table" "$chain" </dev/null
            done
            ;;
        *) section "nft-table $family $table" nft -j list table "$family" "$table" </dev/null ;;
        esac
    done
    text nft-listed yes
}

network() {
    if has ip && ip -j addr >/dev/null 2>&1; then
        section addresses ip -j addr
        section routes ip -j route
        section routes6 ip -j -6 route
        return
    fi
    gap 'interfaces and routes' 'there is no ip that prints JSON: read from /proc'
    text interfaces "$(for path in /sys/class/net/*; do [ ! -d "$path" ] || echo "${path##*/}"; done)"
    file fib_trie /proc/net/fib_trie
    file if_inet6 /proc/net/if_inet6
    file route /proc/net/route
    file ipv6_route /proc/net/ipv6_route
}

sysctls() {
    cd /proc/sys || return
    for path in net/ipv4/ip_forward net/ipv6/conf/all/forwarding \
        net/ipv4/conf/all/route_localnet net/ipv4/conf/*/rp_filter \
        net/ipv4/ip_local_port_range net/ipv4/ip_local_reserved_ports \
        net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables \
        net/netfilter/nf_conntrack_tcp_be_liberal net/netfilter/nf_conntrack_max \
        net/netfilter/nf_conntrack_buckets net/netfilter/nf_conntrack_udp_timeout \
        net/netfilter/nf_conntrack_udp_timeout_stream \
        net/netfilter/nf_conntrack_tcp_timeout_established \
        net/netfilter/nf_conntrack_tcp_timeout_close_wait \
        net/netfilter/nf_conntrack_count; do
        [ ! -r "$path" ] || printf '%s %s\n' "$path" "$(cat "$path" 2>/dev/null)"
    done
}

recent() {
    for path in /proc/net/xt_recent/*; do
        case $path in
        */'*' | *"$newline"*) ;;
        *) printf '%s %s\n' "$(wc -l <"$path" | tr -d ' ')" "${path##*/}" ;;
        esac
    done
}

bridges() {
    for path in /sys/class/net/*/brport; do
        [ -d "$path" ] || continue
        port=${path%/brport}
        bridge=$(readlink "$path/bridge")
        bridge=${bridge##*/}
        printf '%s %s %s %s\n' "$bridge" "$(cat "/sys/class/net/$bridge/flags")" \
            "$(cat "$path/hairpin_mode")" "${port##*/}"
    done
}

flows() {
    if has conntrack; then
        conntrack -L -p udp -f "$1" | head -n 10000
    else
        head -n 20000 /proc/net/nf_conntrack
    fi
}

# looks_secret WORD: what may hold a secret, whatever option it belongs to
looks_secret() {
    case $1 in
    *"$one"* | *eyJ* | *://*@*) return 0 ;;
    esac
    [ "${#1}" -le 1000 ] || return 0
    case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in
    *token*[=:]* | *passw*[=:]* | *passphrase*[=:]* | *secret*[=:]* | *credential*[=:]* | \
        *apikey*[=:]* | *api-key*[=:]* | *access-key*[=:]* | *private*[=:]* | *auth*[=:]*)
        return 0
        ;;
    esac
    return 1
}

# kind_of OPTION: what it takes
kind_of() {
    case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in
    *token* | *passw* | *passphrase* | *secret* | *credential* | *apikey* | *api-key* | \
        *access-key* | *private* | *auth*) echo secret ;;
    -[!-v]) echo secret ;;
    *kubeconfig*) echo file ;;
    esac
}

# is_harmless KIND VALUE
is_harmless() {
    case $1:$2 in
    secret:*) return 1 ;;
    file:/* | file:./* | file:../* | :*) ! looks_secret "$2" ;;
    *) return 1 ;;
    esac
}

# The words on standard input, a line each, without what may be secret.
without_secrets() {
    asked=
    while IFS= read -r word || [ -n "$word" ]; do
        kind=$asked
        asked=
        case $kind:$word in
        :* | *:--*) ;;
        *)
            if is_harmless "$kind" "$word"; then
                printf '%s\n' "$word"
            else
                echo "$left_out"
            fi
            continue
            ;;
        esac
        case $word in
        -*=*)
            option=${word%%=*}
            value=${word#*=}
            if looks_secret "$option"; then
                echo "$left_out"
            elif is_harmless "$(kind_of "$option")" "$value"; then
                printf '%s\n' "$word"
            else
                printf '%s\n' "$option=$left_out"
            fi
            ;;
        *)
            if looks_secret "$word"; then
                echo "$left_out"
                continue
            fi
            case $word in
            -*) asked=$(kind_of "$word") ;;
            esac
            printf '%s\n' "$word"
            ;;
        esac
    done
}

# words PID: the words of its command line behind its name, a line each; a line end in one is \001
words() {
    tr '\000\n' '\n\001' <"/proc/$1/cmdline" 2>/dev/null | tail -n +2
}

# The file that the option --config names, of the words on standard input.
configuration_path() {
    while IFS= read -r word || [ -n "$word" ]; do
        case $word in
        --config=* | -config=*)
            printf '%s' "${word#*=}"
            return
            ;;
        --config | -config)
            IFS= read -r word
            printf '%s' "$word"
            return
            ;;
        esac
    done
}

# configuration PID PATH
configuration() {
    case $2 in
    /*) path=/proc/$1/root$2 ;;
    *) path=/proc/$1/cwd/$2 ;;
    esac
    if [ ! -f "$path" ] || [ ! -r "$path" ]; then
        gap 'the configuration of kube-proxy' 'it cannot be read'
        return
    fi
    # Anybody can call a program kube-proxy and any file its configuration.
    case $(head -c 1048576 "$path") in
    *kubeproxy.config.k8s.io*) ;;
    *)
        gap 'the configuration of kube-proxy' 'it is not a KubeProxyConfiguration'
        return
        ;;
    esac
    begin "configuration $1"
    head -c 1048576 "$path" | harmless_lines
    end 0
}

# A configuration without how its program reaches the API server; it ends before what looks secret.
harmless_lines() {
    skipped=
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        clientConnection:*)
            skipped=yes
            continue
            ;;
        *clientConnection*) return ;;
        [a-zA-Z]*) skipped= ;;
        esac
        [ -z "$skipped" ] || continue
        case $(printf '%s' "$line" | tr '[:upper:]' '[:lower:]') in
        *token* | *passw* | *passphrase* | *secret* | *credential* | *apikey* | *api-key* | \
            *access-key* | *private* | *auth* | *://*@*) return ;;
        esac
        printf '%s\n' "$line"
    done
}

# ask PATH: what a kube-proxy on this node answers
ask() {
    if has curl; then
        curl -s -f -m 2 "http://127.0.0.1:10249$1"
    elif has wget; then
        wget -q -T 2 -O - "http://127.0.0.1:10249$1"
    fi
}

processes() {
    ours=$(readlink /proc/self/ns/net)
    for folder in /proc/[0-9]*; do
        comm=
        { IFS= read -r comm <"$folder/comm"; } 2>/dev/null
        case $comm in
        kube-proxy | hyperkube | kubelite | k3s | k3s-server | k3s-agent | rke2 | nptables | \
            cilium-agent | ovnkube | ovnkube-node | antrea-agent | kube-router | calico-node) ;;
        *) continue ;;
        esac
        theirs=$(readlink "$folder/ns/net" 2>/dev/null)
        [ -z "$theirs" ] || [ "$theirs" = "$ours" ] || continue
        pid=${folder##*/}
        text "process $pid $comm" "$(words "$pid" | without_secrets)"
        [ "$comm" = kube-proxy ] || continue
        path=$(words "$pid" | configuration_path)
        [ -z "$path" ] || configuration "$pid" "$path"
        text "mode $pid" "$(ask /proxyMode 2>/dev/null)"
        if has grep; then
            text "build $pid" "$(ask /metrics 2>/dev/null | grep '^kubernetes_build_info{')"
        fi
    done
    text processes-listed yes
}

if [ "$(id -u)" != 0 ]; then
    echo 'warning: without root most of it cannot be read' >&2
fi
printf 'nptables-node-text 1 %s\n' "$nonce"
file node /proc/sys/kernel/hostname
section taken date -u +%Y-%m-%dT%H:%M:%SZ
file kernel /proc/sys/kernel/osrelease
for tool in iptables ip6tables iptables-nft iptables-legacy nft ipset ip; do
    ! has "$tool" || section "version $tool" "$tool" -V
done
both iptables IPv4 /proc/net/ip_tables_names
both ip6tables IPv6 /proc/net/ip6_tables_names
network
begin sysctls
(sysctls)
end 0
if has ipset; then
    section ipset ipset save
else
    gap ipset 'the program ipset is not installed'
fi
native
if has nfacct; then
    section nfacct nfacct list
else
    gap 'nfacct counters' 'the program nfacct is not installed'
fi
text bridges "$(bridges)"
text recent "$(recent)"
file recent-limit /sys/module/xt_recent/parameters/ip_list_tot
if has conntrack || [ -r /proc/net/nf_conntrack ]; then
    limited=$limit
    limit=
    section 'flows IPv4' flows ipv4
    section 'flows IPv6' flows ipv6
    limit=$limited
else
    gap 'UDP connections' 'the program conntrack is not installed'
fi
processes
printf '%s complete\n' "$nonce"
