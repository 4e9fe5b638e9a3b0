# What every case needs: an instance of its own, made before and torn down after the test, and a
# check that nothing of it is left. Sourced by the .bats files; runs in bash, as root.
#
# An instance's names: $T, a folder with everything; $P, the mount point; $CG, its cgroup folder. Processes
# of an instance are known by $T in their command line, mounts by $T in their path.
#
# Its host is a network namespace of its own, and of the network alone: no test touches the machine's. `$podfs` mounts there,
# `host COMMAND…` runs there. It has lo; with_outside gives it an uplink. Pods have the bridge, as users' do.
#
# No sleep stands for an event: what happens is waited for with `timeout N cat …/wait/…`, and where there is
# no such file `within` asks again until a deadline.

PODFS_BUILD=${PODFS_BUILD:-$BATS_TEST_DIRNAME/../../build-test}
IMAGES=${PODFS_TEST_CACHE:-/var/cache/podfs-tests}
podfs_exec=$BATS_TEST_DIRNAME/../../tools/podfs-exec
bats_require_minimum_version 1.5.0

# Sanitizers are several times slower and bigger.
if grep -qs 'b_sanitize.*address' "$PODFS_BUILD/meson-info/intro-buildoptions.json" &&
	grep -o '"name": "b_sanitize", "value": "[^"]*"' "$PODFS_BUILD/meson-info/intro-buildoptions.json" | grep -q address; then
	SANITIZED=1
else
	SANITIZED=
fi

# --- an instance ---

new_instance() {
	T=$(mktemp -d /var/tmp/podfs-case.XXXXXX)
	P=$T/pods
	CG=${T##*/}
	mkdir "$P" "$T/ns"
	new_host
	export ASAN_OPTIONS="log_path=$T/sanitizer:detect_leaks=1"
	export UBSAN_OPTIONS="log_path=$T/sanitizer:print_stacktrace=1:halt_on_error=1"
	export PODFS=$P
}

# --- its network ---

# namespace FILE: a new one with lo up, which that file keeps.
namespace() {
	: >"$1"
	unshare --net="$1" ip link set lo up
}
# The host of an instance; a file of cases whose instances share one (own_host in its setup_file) has its own.
new_host() {
	HOST=${FILE_HOST:-$T/ns/host}
	[ -n "${FILE_HOST:-}" ] || namespace "$HOST"
	podfs=$T/podfs
	printf '#!/bin/sh\nexec nsenter --net=%s %s "$@"\n' "$HOST" "$(realpath "$PODFS_BUILD/tools/podfs")" >"$podfs"
	chmod 755 "$podfs"
	host_now >"$T/host.before"
}
own_host() {
	HOST=$BATS_FILE_TMPDIR/host
	export FILE_HOST=$HOST
	namespace "$HOST"
}

host() { nsenter --net="$HOST" "$@"; }
outside() { nsenter --net="$T/ns/outside" "$@"; }
# inside POD COMMAND…: a program of this machine in the pod's network
inside() {
	local ns=$P/$1/ns/net
	shift
	nsenter --net="$ns" "$@"
}
# peer host|outside|POD COMMAND…: in that network until the end of the test; $PEER is its pid, its output is in $T/peer.PID
PEERS=()
peer() {
	local ns=$P/$1/ns/net
	case $1 in
	host) ns=$HOST ;;
	outside) ns=$T/ns/outside ;;
	esac
	shift
	nsenter --net="$ns" sh -c 'exec "$@" >"$0/peer.$$" 2>&1' "$T" "$@" </dev/null 3>&- 4>&- &
	PEER=$!
	PEERS+=($PEER)
}

# An uplink to a host `outside`, which has no way back to the pods' subnets.
OUT4=192.0.2.2 OUT6=2001:db8::2 # outside's; ours end with 1
with_outside() {
	namespace "$T/ns/outside"
	# Of another number than its peer: the kernel looks at a link of the same number once a second only.
	host ip link add up0 index 10 type veth peer name up1 netns "$T/ns/outside"
	uplink host up0 192.0.2.1/24 2001:db8::1/64
	uplink outside up1 $OUT4/24 $OUT6/64
	host ip route add default via $OUT4
	host ip -6 route add default via $OUT6
	within 5 links_are_up
	host_now >"$T/host.before"
}
# Two ends of one cable have no double of theirs to look for, which takes a second.
uplink() { # WHO LINK ADDRESS4 ADDRESS6
	"$1" sh -c "[ ! -d /proc/sys/net/ipv6 ] || echo 0 >/proc/sys/net/ipv6/conf/$2/accept_dad"
	"$1" ip addr add "$3" dev "$2"
	"$1" ip addr add "$4" dev "$2"
	"$1" ip link set "$2" up
}
links_are_up() { host ping -qc 1 -W 0.1 $OUT4 && host ping -qc 1 -W 0.1 $OUT6; }

# Everything of its network that podfs could leave.
host_now() {
	host sh -c 'ip -o link | sed "s/ qdisc [a-z]*//"; ip -o addr | sed "s/valid_lft.*//"; ip route show table all; ip -6 route show table all
		ip rule; nft list ruleset; ss -Hlntu' 2>&1 | grep -vE 'fe80::.* dev up0|^anycast'
}

# What every mount of this instance is given; more is added by the caller.
options() { echo "state=$T/state,run=$T/run,cgroup=$CG${1:+,$1}"; }

mount_podfs() { timeout 30 "$podfs" -o "$(options "${1:-}")" "$P"; }

# The processes of this instance: keeper, server, podfs-pod, podfs-image, skopeo. Containers are their children.
# The name is given on stdin, or grep would find itself.
instance_pids() {
	grep -lF -f - /proc/[0-9]*/cmdline <<<"$T/" 2>/dev/null | cut -d/ -f3
	skopeo_pids
}
# It is told nothing of the instance but its environment (ASAN_OPTIONS, at least).
skopeo_pids() {
	local p
	for p in $(pgrep -x skopeo); do ! grep -qF "$T/" "/proc/$p/environ" 2>/dev/null || echo "$p"; done
}
keeper_pid() { sed 's/ .*//;q' "$T/state/lock"; }
server_pid() { pgrep -P "$(keeper_pid)" -x podfs-server; }
pod_pid() { readlink "$P/$1/ns/net" | cut -d/ -f3; } # of its podfs-pod

# Ends the server, and waits for the next one.
kill_server() {
	local server
	server=$(server_pid)
	kill -9 "$server"
	gone "$server"
	within 10 has_server
	timeout 10 stat "$P/.node" >/dev/null
}
has_server() { [ -n "$(server_pid)" ]; }
mounted() { grep -q " $P fuse.podfs \| $P .* fuse.podfs " /proc/self/mountinfo; }
our_mounts() { grep -F "$T" /proc/*/mountinfo 2>/dev/null | sed 's/^[^:]*://' | awk -v ns="$T/ns/" 'index($5, ns) != 1 { print $5 }' | sort -u; }
mount_holders() { grep -lF "$T/pods" /proc/[0-9]*/mountinfo 2>/dev/null | cut -d/ -f3 | paste -sd, | xargs -r ps -o pid,ppid,mntns,stat,args -p; }
our_cgroups() { find /sys/fs/cgroup -type d -path "*/$CG*" 2>/dev/null; }

unmount_podfs() {
	local keeper
	keeper=$(keeper_pid)
	umount "$P" || return 1
	gone "$keeper"
}
# wait_for PID…: not a bare wait, which would wait for what bats itself has in the background.
wait_for() {
	local p bad=0
	for p; do wait "$p" || bad=1; done
	return $bad
}
# gone PID: waits until it has ended (a zombie of nobody has).
gone() { within 10 ended_or_zombie "$1"; }
ended_or_zombie() { ! grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status"; }

# within SECONDS COMMAND…: until it succeeds. What it says is heard when the time is over.
within() {
	local deadline=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s%N)" -gt $deadline ]; then
			echo "not within the time: $*" >&2
			"$@"
			return 1
		fi
		read -rt 0.05 <> <(:) || :
	done
}

# --- before and after each test; a file with needs of its own calls these ---

setup() {
	new_instance
	mount_podfs
}

teardown() { end_case; }
end_case() {
	local bad=0
	if mounted && timeout 5 stat "$P/.node" >/dev/null 2>&1; then
		remove_all_pods || bad=1
		no_leaks_listed || bad=1
		unmount_podfs || bad=1
	fi
	# podfs-net lets go of its state a moment after the server
	[ -z "${EXTRA_MOUNT:-}" ] || within 5 umount "$EXTRA_MOUNT" 2>/dev/null || bad=1
	end_peers
	nothing_left || bad=1
	sanitizer_silent || bad=1
	[ "$bad" -eq 0 ] || tail -n 20 "$T/state/podfs.log" 2>/dev/null
	sweep
	return $bad
}

remove_all_pods() {
	local p
	for p in "$P"/*/; do
		[ -d "$p" ] || continue
		echo 0 >"$p/grace"
		rmdir "$p"
	done 2>/dev/null
	within 20 none_leaving || { cat "$P/.node/leaving"; return 1; }
	within 10 no_pod_process
}
none_leaving() { [ -z "$(timeout 5 cat "$P/.node/leaving")" ]; }
no_pod_process() { ! pgrep -fa "^[^ ]*podfs-pod .*$T/" >/dev/null; }
no_leaks_listed() { is '' "$P/.node/leaks"; }

# Everything that carries this instance's names has to be gone.
nothing_left() {
	local bad=0
	within 10 no_process_left || { echo "left: processes"; ps -o pid,ppid,stat,args -p "$(instance_pids | paste -sd,)"; bad=1; }
	within 5 no_mount_left || { echo "left: mounts" "$(our_mounts)" "held by:"; mount_holders; bad=1; }
	within 5 no_cgroup_left || { echo "left: cgroups" "$(our_cgroups)"; bad=1; }
	[ -z "$(ls -A "$T/state/pods" 2>/dev/null)" ] || { echo "left: records" "$(ls -AR "$T/state/pods")"; bad=1; }
	[ -z "$(find "$T/state/images/tmp" -mindepth 1 2>/dev/null)" ] || { echo "left: imports"; bad=1; }
	within 10 host_is_as_before || { echo "left on the host:"; host_now | diff "$T/host.before" -; host_pids | xargs -r ps -o pid,ppid,stat,args -p; bad=1; }
	[ -z "$(run_files)" ] || { echo "left: files" "$(run_files)"; bad=1; }
	return $bad
}
no_process_left() { [ -z "$(instance_pids)" ]; }
no_mount_left() { [ -z "$(our_mounts)" ]; }
no_cgroup_left() { [ -z "$(our_cgroups)" ]; }
# podfs-net ends by itself, and takes with it what is for all pods.
host_is_as_before() { [ -z "$(host_pids)" ] && host_now | cmp -s "$T/host.before"; }
# Sockets, dnsmasq's names, and what says of CNI's chains that they are still to be taken back; a lock may stay.
run_files() { find "$T/run" "$T/state/cni" -mindepth 1 2>/dev/null; }
# Who is in its network; of a file's own, its registries are.
host_pids() {
	find /proc/[0-9]*/ns/net -lname "net:\[$(stat -Lc %i "$HOST")\]" 2>/dev/null | cut -d/ -f3 |
		grep -vxFf <(cat "$BATS_FILE_TMPDIR"/*.pid 2>/dev/null)
}
end_peers() {
	local p
	for p in "${PEERS[@]}"; do kill -9 "$p"; done 2>/dev/null
	PEERS=()
}

sanitizer_silent() {
	local f bad=0
	for f in "$T"/sanitizer*; do
		[ -s "$f" ] || continue
		[ "$bad" -eq 1 ] || head -n 25 "$f"
		grep SUMMARY "$f"
		bad=1
	done
	return $bad
}

# What a failed test left, so that it harms no other.
sweep() {
	local p d
	for p in $(instance_pids); do kill -9 "$p" 2>/dev/null; done
	for p in $(our_mounts | sort -r); do umount -l "$p" 2>/dev/null; done
	for d in $(our_cgroups | sort -r); do
		for p in $(cat "$d/cgroup.procs" 2>/dev/null); do kill -9 "$p" 2>/dev/null; done
	done
	for d in $(our_cgroups | sort -r); do within 2 rmdir "$d" 2>/dev/null; done
	for p in $([ -n "${FILE_HOST:-}" ] || host_pids); do kill -9 "$p" 2>/dev/null; done
	umount "$T"/ns/* 2>/dev/null
	# One file system only: whatever is still mounted in there is not ours to empty.
	rm -rf --one-file-system "$T"
}

# --- words of the tests ---

# import busybox [REF]: an archive of tests/images.
import() { cp "$IMAGES/$1.tar" "$P/.node/images/${2:-$1}"; }

# run_pod NAME [WORDS]: a pod of one busybox container; WORDS is its command.
run_pod() {
	[ -e "$P/.node/images/busybox" ] || import busybox
	mkdir "$P/$1"
	[ $# -lt 2 ] || echo "$2" >"$P/$1/command"
	echo busybox >"$P/$1/image"
}
forever='sh -c "trap \"exit 0\" TERM; while :; do sleep 1000 & wait; done"'

# ended POD[/containers/C]: waits for its end, prints the code.
ended() { timeout "${2:-20}" cat "$P/$1/wait/ended"; }

# is EXPECTED FILE: what a file reads.
is() {
	local got
	got=$(timeout 10 cat "$2") || { echo "cat $2 failed"; return 1; }
	[ "$got" = "$1" ] || { printf '%s reads\n%s\nnot\n%s\n' "$2" "$got" "$1"; return 1; }
}
# has PATTERN FILE: extended regular expression.
has() { timeout 10 cat "$2" | grep -qE -- "$1" || { echo "$2 has no $1:"; timeout 10 cat "$2"; return 1; }; }

# refused 'Words of the errno' FILE VALUE: the write fails with that errno, and the nearest error says a sentence.
# E: where it is said; default $P/.node/error.
refused() {
	local words
	if words=$(echo "$3" 2>&1 >"$2"); then
		echo "taken: ${3:0:80} > $2"
		return 1
	fi
	[[ $words == *"$1"* ]] || { echo "${3:0:80} > $2 said: $words"; return 1; }
}
# fails 'Words of the errno' COMMAND…
fails() {
	local want=$1 words
	shift
	if words=$("$@" 2>&1); then
		echo "did not fail: $*"
		return 1
	fi
	[[ $words == *"$want"* ]] || { echo "$* said: $words"; return 1; }
}

# in_container POD COMMAND-LINE: what a shell there prints, through a session of its own.
in_container() {
	local s=$P/${1%%/*}/exec/t$BASHPID code
	mkdir "$s" || return 125
	case $1 in */*) echo "${1#*/}" >"$s/container" ;; esac
	printf 'sh -c %s\n' "$(quoted "$2")" >"$s/cmd" || { rmdir "$s"; return 125; }
	: >"$s/in"
	cat "$s/err" >&2 &
	timeout 20 cat "$s/out"
	wait $!
	code=$(timeout 20 cat "$s/exit")
	rmdir "$s"
	return "$code"
}
quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# The median of numbers, one a line.
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# --- images made here: the busybox layer and any config, as `docker save` writes it ---

busybox_layer() { tar -xOf "$IMAGES/busybox-docker.tar" ./0001/layer.tar; }

# make_image REF CONFIG-JSON: imports it.
make_image() {
	local dir=$T/image
	mkdir -p "$dir"
	busybox_layer >"$dir/layer.tar"
	cat >"$dir/config.json" <<-END
		{"architecture":"amd64","os":"linux","config":$2,
		 "rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)"]}}
	END
	echo '[{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
	tar -C "$dir" -cf "$T/image.tar" manifest.json config.json layer.tar
	cp "$T/image.tar" "$P/.node/images/$1"
}
