# A host of its own for each test of podfs-net: a network namespace `host` with an uplink to a namespace `world`, which has no
# way back to the pods' subnets. Sourced by the .bats files; as root. Nothing of the machine's own network is touched.
#
# $T: a private tmpfs, $T/ns/NAME: namespaces, $T/run, $T/state: podfs-net's folders. PODFS_NET, NETCTL, PEER: the programs.

bats_require_minimum_version 1.5.0

BR=pfb0
TABLE=pft0
NET4=10.213.0.0/20 GW4=10.213.0.1
NET6=fd12:3456::/64 GW6=fd12:3456::1

setup() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	T=$(mktemp -d /tmp/podfs-net.XXXXXX)
	mount -t tmpfs -o mode=755 podfs-net-test "$T"
	mount --make-private "$T"
	mkdir "$T/ns" "$T/run" "$T/state" "$T/etc"
	namespace host
	namespace world
	host ip link add up0 type veth peer name up1 netns "$T/ns/world"
	address host up0 192.0.2.1/24 2001:db8::1/64
	address world up1 192.0.2.2/24 2001:db8::2/64
	host ip route add default via 192.0.2.2
	[ ! -e /proc/sys/net/ipv6 ] || host ip -6 route add default via 2001:db8::2
	echo 'nameserver 192.0.2.2' >"$T/etc/resolv.conf"
	pids=()
}

teardown() {
	local p
	for p in "${pids[@]}" $(net_pid); do kill -9 "$p" 2>/dev/null || :; done
	umount "$T"/ns/* 2>/dev/null
	sanitizer_silent
	local bad=$?
	umount -l "$T"
	rmdir "$T"
	return $bad
}

sanitizer_silent() {
	local f bad=0
	for f in "$T"/sanitizer*; do
		[ -s "$f" ] || continue
		cat "$f"
		bad=1
	done
	return $bad
}

namespace() { touch "$T/ns/$1"; unshare --net="$T/ns/$1" ip link set lo up; }
# inside NAME COMMAND…: in that namespace.
inside() { local ns=$1; shift; nsenter --net="$T/ns/$ns" "$@"; }
host() { inside host "$@"; }
world() { inside world "$@"; }
# background NAME COMMAND…: until the end of the test.
background() {
	local ns=$1
	shift
	nsenter --net="$T/ns/$ns" "$@" 3>&- 7>&- &
	pids+=($!)
}
# address NAME LINK IPV4 IPV6
address() {
	inside "$1" ip addr add "$3" dev "$2"
	[ ! -e /proc/sys/net/ipv6 ] || inside "$1" ip addr add "$4" dev "$2" nodad
	inside "$1" ip link set "$2" up
}

# within SECONDS COMMAND…: until it succeeds.
within() {
	local deadline=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@"; do
		if [ "$(date +%s%N)" -gt $deadline ]; then
			echo "not within the time: $*" >&2
			return 1
		fi
		read -rt 0.05 <> <(:) || :
	done
}
not() { ! "$@" >/dev/null 2>&1; }
# processes_in NAME: that are in that namespace
processes_in() { find /proc/[0-9]*/ns/net -lname "net:\[$(stat -c %i "$T/ns/$1")\]" 2>/dev/null; }

uid() { printf '%08x-1111-4222-8333-444444444444' "$1"; }
veth() { printf 'pf%08x1111' "$1"; }

# --- podfs-net ---

# Its own mount namespace gives it a resolv.conf that names `world`, and hides the program WITHOUT.
start_net() {
	export ASAN_OPTIONS="log_path=$T/sanitizer:detect_leaks=1" UBSAN_OPTIONS="log_path=$T/sanitizer:print_stacktrace=1:halt_on_error=1"
	# shellcheck disable=SC2016 # the inner shell expands
	WITHOUT=${WITHOUT:-} host unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf
		[ -z "$WITHOUT" ] || mount --bind /dev/null "$WITHOUT"
		exec "$@"' "$T/etc/resolv.conf" \
		"$NETCTL" start "$PODFS_NET" "$T/run" "$T/state" "${1:-$BR}" "${2:-$NET4}" "${3:-$NET6}" "${4:-$TABLE}" >"$T/pid" 2>"$T/stderr" </dev/null 3>&-
}
net_pid() { cat "$T/pid" 2>/dev/null; }
net_runs() { [ -e "/proc/$(net_pid)/root" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$(net_pid)/status"; }
# info: lines `key value`
info() { ask "detach $(uid 4294967295)" info | grep -v '^ok'; }
# ask COMMAND…: one connection; each argument is a line of netctl.
ask() { printf '%s\n' "$@" | "$NETCTL" "$T/run"; }

# A server that stays connected, so that events are heard: hold; then say COMMAND…; unhold.
hold() {
	mkfifo "$T/say"
	: >"$T/said"
	"$NETCTL" "$T/run" <"$T/say" >>"$T/said" 2>&1 3>&- &
	pids+=($!)
	exec 7>"$T/say"
	say "detach $(uid 4294967295)" >/dev/null # it is connected once it has an answer
	: >"$T/said"
}
unhold() { exec 7>&-; rm -f "$T/say"; }
# say COMMAND…: waits for the answer, prints everything since the last say.
say() {
	local from
	from=$(($(wc -l <"$T/said") + 1))
	printf '%s\n' "$*" >&7
	within 20 answered "$from"
	tail -n +"$from" "$T/said"
}
answered() { tail -n +"$1" "$T/said" | grep -qE '^(ok|error|closed|no )'; }
# heard WORDS: an event has them.
heard() { grep -q "^event .*$1" "$T/said"; }

# attach N NAME [WORD]…: pod number N has host number N + 4, its namespace is $T/ns/NAME.
attach_line() {
	local n=$1 name=$2
	shift 2
	echo "attach $(uid "$n") $name $((n + 4)) keep=$T/ns/$name $*"
}
attach() { ask "$(attach_line "$@")"; }
# pods NUMBER…: p1 p2 …
pods() {
	local i lines=()
	for i; do lines+=("$(attach_line "$i" "p$i")"); done
	ask "${lines[@]}"
}
# Again, with the namespace that it has.
reattach_line() {
	local n=$1 name=$2
	shift 2
	echo "attach $(uid "$n") $name $((n + 4)) ns=$T/ns/$name $*"
}
# What happens when podfs-pod ends: the namespace goes with it.
drop_ns() { umount "$T/ns/$1"; rm "$T/ns/$1"; }

# Of podfs-net on `host`.
nothing_left() {
	[ "$(host ip -o link | grep -vcE '^[0-9]+: (lo|up0)')" -eq 0 ] && [ -z "$(host nft list tables)" ] &&
		[ -z "$(ls -A "$T/run")" ] && ! net_runs && [ -z "$(processes_in host)" ]
}

# --- peers: what a server says is the address that it sees ---

# serve NAME PORT
serve() {
	background "$1" "$PEER" serve "$2" >"$T/peer.$1"
	within 10 grep -q ready "$T/peer.$1"
}
# seen NAME tcp|udp ADDRESS PORT: what the server there saw of us
seen() { inside "$1" "$PEER" ask "$2" "$3" "$4"; }
# resolves FROM NAME ADDRESS: as a container does, by its resolv.conf
resolves() {
	inside "$1" busybox nslookup "$2" $GW4 2>/dev/null | grep -qx "Address: $3"
}
