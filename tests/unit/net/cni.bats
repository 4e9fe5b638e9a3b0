# CNI networks through podfs-net: Debian's plugins, kill -9, leaks. PODFS_NET, NETCTL: the programs. As root.

load lib.bash

ADD=134 DEL=135 # net.h
setup_file() { [ -x /usr/lib/cni/bridge ] || skip 'no containernetworking-plugins'; }

start_cni() {
	mkdir -p "$T/net.d" "$T/bin" "$T/leases"
	export PODFS_CNI_CONF=$T/net.d PODFS_CNI_PATH=$T/bin:/usr/lib/cni
	cat >"$T/net.d/10-blue.conflist" <<-END
		{"cniVersion": "1.0.0", "name": "blue", "plugins": [
		  {"type": "bridge", "bridge": "cni9", "isGateway": true, "ipMasq": true, "ipam": {"type": "host-local", "dataDir": "$T/leases",
		   "ranges": [[{"subnet": "10.97.0.0/24"}], [{"subnet": "fd97::/64"}]], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}},
		  {"type": "firewall"}]}
	END
	start_net
}

# N NAME NETWORK [PORT]…: into the namespace NAME
add_line() {
	local n=$1 name=$2 net=$3 p
	shift 3
	printf %s "raw $ADD 128=$(uid "$n") 129=$name 134=$net ns=$T/ns/$name"
	for p; do printf ' 131=%s' "$p"; done
}
del_line() { echo "raw $DEL 128=$(uid "$1") ${2:+ns=$T/ns/$2}"; }
add() { ask "$(add_line "$@")"; }
del() { ask "$(del_line "$@")"; }
# says ANSWER LINE: the answer begins so
says() {
	local got
	got=$(say "$2" | tail -n 1)
	[[ $got == "$1"* ]] || { echo "$2: $got"; return 1; }
}
plugin() { printf '#!/bin/sh\ncd %s\n%s\n' "$T" "$2" >"$T/bin/$1"; chmod 755 "$T/bin/$1"; }
network() { echo "{\"cniVersion\":\"1.0.0\",\"name\":\"$1\",\"plugins\":[{\"type\":\"$2\"}]}" >"$T/net.d/50-$1.conflist"; }

# Without the bridge and the empty chains, which stay: they are the plugins'.
traces() {
	host ip -o link | grep -E 'veth.*master cni9'
	host iptables-save | grep -E '10\.97\.0\.[0-9]+[/:]|8080'
	host ip6tables-save | grep -E 'fd97::[0-9]+[]/]|8080'
	ls "$T"/leases/*/10.97* "$T"/leases/*/fd97* "$T"/state/cni/* 2>/dev/null
	true
}

@test "a pod of a CNI network: addresses, reached by the host and at its published port, and nothing left" {
	start_cni
	namespace p1
	inside p1 ip link set lo down
	run -0 add 1 p1 blue 8080:7000
	[[ $output == "ok 10.97.0."*"/24 fd97::"*"/64" ]]
	local a=${output#ok }
	a=${a%%/*}
	serve p1 7000
	[ "$(seen host tcp "$a" 7000)" = 10.97.0.1 ]
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	[ -n "$(traces)" ]
	inside p1 ip -o link show up | grep -q LOOPBACK
	run -0 add 1 p1 blue 8080:7000 # the server asks again: the same
	[[ $output == "ok $a/24 "* ]]
	run -0 del 1
	run traces
	[ -z "$output" ]
	not inside p1 ip link show eth0
	within 10 not net_runs
}

@test "a pod that brings no namespace is given one; name servers of the network are told" {
	start_cni
	plugin named 'cat /proc/self/oom_score_adj >score; exec echo "{\"cniVersion\":\"1.0.0\",\"dns\":{\"nameservers\":[\"192.0.2.53\",\"fd00::53\",\"x\\nsearch evil\"]}}"'
	network named named
	namespace p2
	run -0 ask "$(add_line 2 p2 named)" "raw $ADD 128=$(uid 1) 129=p1 134=blue keep=$T/ns/p1"
	[ "$(cat "$T/score")" = "$(cat /proc/self/oom_score_adj)" ]
	[ "${lines[0]}" = "ok dns 192.0.2.53 dns fd00::53" ]
	[[ ${lines[1]} == "ok 10.97.0."*"/24 fd97::"*"/64" ]]
	ask "$(del_line 2)"
	inside p1 ping -qc 1 -W 5 10.97.0.1
	inside p1 ping -qc 1 -W 5 127.0.0.1
	ask "$(del_line 1)"
	run traces
	[ -z "$output" ]
}

@test "kill -9 while a pod is attached, and while a plugin runs: sync finds both, nothing is left" {
	start_cni
	plugin hang '[ $CNI_COMMAND = ADD ] || { echo gone >>log; exit 0; }; echo $$ >hangs; exec sleep 1000'
	network slow hang
	namespace p1
	namespace p2
	add 1 p1 blue
	add 2 p2 slow &
	pids+=($!)
	within 10 test -s "$T/hangs"
	kill -9 "$(net_pid)"
	within 10 not net_runs
	within 10 eval '! grep -qs "^State:[[:space:]]*[^XZ[:space:]]" "/proc/$(cat "$T/hangs")/status"'
	[ "$(ls "$T/state/cni" | wc -l)" -eq 2 ]
	start_net
	ask "$(del_line 1 p1)" "sync"
	within 10 eval '[ -z "$(traces)" ]'
	[ "$(cat "$T/log")" = gone ]
	within 10 not net_runs
}

@test "a DEL that fails is a leak until it holds, and podfs-net stays for it" {
	start_cni
	plugin stuck '[ $CNI_COMMAND != ADD ] || exec echo "{\"cniVersion\":\"1.0.0\"}"; [ -e free ] || { echo "still used" >&2; exit 1; }'
	network red stuck
	namespace p1
	add 1 p1 red
	hold
	run say "raw $DEL 128=$(uid 1)"
	[[ $output == *"error EIO CNI plugin stuck (DEL of network red): it ended with 1: still used" ]]
	heard "leak $(uid 1) CNI plugin stuck"
	unhold
	net_runs
	hold
	say "sync"
	within 10 heard "leak $(uid 1) CNI plugin stuck"
	touch "$T/free"
	within 10 heard "freed $(uid 1)"
	unhold
	run traces
	[ -z "$output" ]
	within 10 not net_runs
}

@test "what cannot be is said: no such network, no plugin, rubbish, a port that nobody publishes" {
	start_cni
	namespace p1
	plugin rubbish 'echo rubbish'
	network green rubbish
	network grey nothing-here
	hold
	says "error ENOENT no CNI network nowhere in " "$(add_line 1 p1 nowhere)"
	says "error ENOENT CNI network grey: CNI plugin nothing-here is not in " "$(add_line 1 p1 grey)"
	says "error EINVAL CNI plugin rubbish (ADD of network green): it ended well, but printed no result: bad JSON" "$(add_line 1 p1 green)"
	says "error EOPNOTSUPP CNI network green has no plugin that publishes ports" "$(add_line 1 p1 green 80:80)"
	says "error EINVAL no network namespace was given" "raw $ADD 128=$(uid 1) 129=p1 134=green ns=/dev/null"
	says "error EINVAL not a pod's uid" "raw $ADD 128=../../x 129=p1 134=green ns=$T/ns/p1"
	says "error EINVAL malformed request: K_UID" "raw $ADD 129=p1 134=green"
	says "error EINVAL malformed request: K_POD or K_CNI" "raw $ADD 128=$(uid 1) 129=p1"
	says ok "$(del_line 1)"
	unhold
	[ ! -e "$T/state/cni" ] || [ -z "$(ls -A "$T/state/cni")" ]
}
