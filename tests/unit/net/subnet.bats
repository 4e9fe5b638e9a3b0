# The subnets that podfs-net chooses, keeps and leaves. PODFS_NET, NETCTL: the programs. As root.

load lib.bash

FIRST=10.217.32 SECOND=10.215.144 # what pfb0 tries first, and then
start_auto() { start_net $BR auto auto; }
kept() { sed -n "s/^$1 = //p" "$T/state/net.ini"; }
# What a reboot leaves: STATE, and nothing of the kernel's.
reboot() {
	kill -9 "$(net_pid)"
	within 5 not net_runs
	host ip link del $BR
	umount "$T"/ns/p* && rm "$T"/ns/p*
	rm -rf "$T/run" && mkdir "$T/run"
}

@test "auto: two subnets that the host does not use, kept over a reboot" {
	start_auto
	run -0 attach 1 p1
	[[ ${lines[-1]} == "ok $FIRST.5/20 fd"*"::5/64 dns $FIRST.1 dns fd"*"::1" ]]
	[ "$(kept subnet4)" = $FIRST.0/20 ]
	local six
	six=$(kept subnet6)
	[[ $output == *" ${six%::/64}::5/64"* ]]
	inside p1 ping -qc 1 -W 5 $FIRST.1
	inside p1 ping -qc 1 -W 5 "${six%::/64}::1"
	[ "$(info | grep -v dns)" = "bridge $BR
up yes
subnet4 $FIRST.0/20
subnet6 $six
gateway4 $FIRST.1
gateway6 ${six%::/64}::1
table $TABLE" ]
	sed -i "s/$FIRST.0/10.219.0.0/" "$T/state/net.ini" # as if chosen when the first one was in use
	local before
	before=$(cat "$T/state/net.ini")
	reboot
	start_auto
	run -0 attach 1 p1
	[[ ${lines[-1]} == "ok 10.219.0.5/20 ${six%::/64}::5/64 "* ]]
	[ "$(cat "$T/state/net.ini")" = "$before" ]
}

@test "auto: a subnet of the host's is passed over, and one that it has come to use is left, with an event" {
	host ip route add 10.217.40.0/24 via 192.0.2.2
	start_auto
	run -0 attach 1 p1
	[[ ${lines[-1]} == "ok $SECOND.5/20 "* ]]
	[ "$(kept subnet4)" = $SECOND.0/20 ]
	reboot
	host ip addr add $SECOND.9/32 dev lo
	start_auto
	hold
	run say "$(attach_line 1 p1)"
	[[ $output == *"event event - this host has come to use $SECOND.0/20, the pods' subnet: new pods get addresses of 10.214.0.0/20"* ]]
	[[ $output == *"ok 10.214.0.5/20 "* ]]
	[ "$(kept subnet4)" = 10.214.0.0/20 ]
}

@test "auto: while pods have addresses nothing moves" {
	start_auto
	attach 1 p1
	attach 2 p2
	hold
	host ip route add 10.217.40.0/24 via 192.0.2.2
	host ip link del $BR
	within 5 heard 'the bridge was removed or changed by somebody and cannot be made again: subnet 10.217.32.0/20'
	run say "$(attach_line 3 p3)"
	[[ $output == *"error EADDRNOTAVAIL subnet $FIRST.0/20 of the pods overlaps with 10.217.40.0/24"* ]]
	host ip route del 10.217.40.0/24
	run say "$(attach_line 3 p3)"
	[[ $output == *"ok $FIRST.7/20"* ]]
	inside p1 ping -qc 1 -W 5 $FIRST.6
	[ "$(kept subnet4)" = $FIRST.0/20 ]
}

@test "auto beside one that is named, and beside none" {
	start_net $BR auto fd12:3456::/64
	run -0 attach 1 p1
	[[ ${lines[-1]} == "ok $FIRST.5/20 fd12:3456::5/64 "* ]]
	[ -z "$(kept subnet6)" ]
	reboot
	start_net $BR none auto
	run -0 attach 1 p1
	[[ ${lines[-1]} == "ok fd"*"::5/64 dns fd"*"::1" ]]
	[ "$(kept subnet4)" = $FIRST.0/20 ]
	[ -n "$(kept subnet6)" ]
}

@test "other subnets in the config: the pods that are there keep theirs, and so do new ones until these have gone" {
	start_net $BR 10.213.0.0/20 fd12:3456::/64
	attach 1 p1
	for nets in "10.214.0.0/24 fd12:9::/64" "auto auto" "none fd12:9::/64"; do
		kill -9 "$(net_pid)"
		within 5 not net_runs
		rm "$T/run/net.sock"
		# shellcheck disable=SC2086 # two words
		start_net $BR $nets
		hold
		run say "$(reattach_line 1 p1)"
		[[ $output == *"event event - the pods that are there have addresses of 10.213.0.0/20: "*" comes when they have gone"* ]]
		[[ ${lines[-1]} == "ok 10.213.0.5/20 fd12:3456::5/64 "* ]]
		say "$(attach_line 2 p2)" | grep -q "^ok 10.213.0.6/20 fd12:3456::6/64 "
		inside p2 ping -qc 1 -W 5 10.213.0.5
		inside p2 ping -qc 1 -W 5 192.0.2.2
		[ "$(inside p1 ip -o addr show dev eth0 scope global | wc -l)" -eq 2 ]
		say "detach $(uid 2)"
		drop_ns p2
		unhold
	done
	hold
	say "detach $(uid 1)"
	drop_ns p1
	within 5 not host ip link show $BR
	say "$(attach_line 1 p1)" | grep -q "^ok fd12:9::5/64 "
}

@test "auto: nothing is left to choose" {
	host ip route add 10.208.0.0/12 via 192.0.2.2
	start_auto
	hold
	run say "$(attach_line 1 p1)"
	[[ $output == *"error EADDRNOTAVAIL subnet 10."*" of the pods overlaps with 10.208.0.0/12, which this host reaches by up0"* ]]
	[ ! -e "$T/state/net.ini" ]
	host ip route del 10.208.0.0/12
	say "$(attach_line 1 p1)"
	[ -n "$(kept subnet4)" ]
}

@test "auto: a choice that cannot be kept is none, and one that cannot be read is not overwritten" {
	mkdir "$T/full"
	mount -t tmpfs -o size=4k,nr_inodes=1 podfs-net-test "$T/full"
	mount --bind "$T/full" "$T/state"
	start_auto
	hold
	run say "$(attach_line 1 p1)"
	[[ $output == *"error ENOSPC $T/state/net.ini: No space left on device"* ]]
	mount -o remount,size=64k,nr_inodes=9 "$T/full"
	run say "$(attach_line 1 p1)"
	[[ $output == *"ok $FIRST.5/20 "* ]]
	say sync
	unhold
	within 5 not net_runs
	grep -q $FIRST "$T/state/net.ini"
	printf '[net]\nsubnet4 = nonsense\n' >"$T/state/net.ini"
	start_auto
	run ask "$(attach_line 1 p1)"
	[ "$output" = "error EINVAL net.ini:2: nonsense is no subnet of IPv4" ]
	grep -q nonsense "$T/state/net.ini"
	umount "$T/state" "$T/full"
}

# one DIRECTORY BRIDGE: another podfs-net on the same host, with a pod
one() {
	mkdir -p "$T/$1/run" "$T/$1/state"
	host "$NETCTL" start "$PODFS_NET" "$T/$1/run" "$T/$1/state" "$2" auto auto "t$2" >"$T/$1/pid" 2>"$T/$1/stderr" </dev/null 3>&-
	pids+=("$(cat "$T/$1/pid")")
}
@test "auto: two that choose at once, and begin with the same, end with different ones" {
	# The hash of these names begins at the same block. Stopped and let go, they are as near to each other as can be had.
	for i in 1 2 3 4 5; do
		one "a$i" pfb0
		one "b$i" pfb388
		echo "attach $(uid 1) p1 5 keep=$T/ns/a$i" | "$NETCTL" "$T/a$i/run" >"$T/a$i/said" 3>&- &
		echo "attach $(uid 2) p1 5 keep=$T/ns/b$i" | "$NETCTL" "$T/b$i/run" >"$T/b$i/said" 3>&-
		within 10 grep -q '^ok' "$T/a$i/said"
		grep -q '^ok' "$T/b$i/said"
		a=$(sed -n 's/subnet4 = //p' "$T/a$i/state/net.ini")
		b=$(sed -n 's/subnet4 = //p' "$T/b$i/state/net.ini")
		[ "$a" != "$b" ]
		for d in a b; do echo sync | "$NETCTL" "$T/$d$i/run"; done
		within 10 not host ip link show pfb0
		within 10 not host ip link show pfb388
	done
}

@test "routes that lead nowhere: one within the subnet is in the way, a wider one is not" {
	host ip route add blackhole 10.0.0.0/8
	host ip -6 route add unreachable fc00::/7
	start_net
	hold
	for kind in unreachable blackhole prohibit; do
		host ip route add $kind 10.213.7.128/25
		run say "$(attach_line 1 p1)"
		[[ $output == *"error EADDRNOTAVAIL subnet $NET4 of the pods overlaps with 10.213.7.128/25, which this host makes unreachable;"* ]]
		host ip route del 10.213.7.128/25
	done
	say "$(attach_line 1 p1)" | grep -q '^ok'
	inside p1 ping -qc 1 -W 5 $GW6
}

@test "what is no subnet is refused at the start" {
	for nets in "- auto" "auto -" "10.0.0.1/20 none" "none none" "10.0.0.0 none" "none fd00::1/64" "automatic auto"; do
		# shellcheck disable=SC2086 # two words
		start_net $BR $nets
		within 5 not net_runs
		[ -s "$T/stderr" ]
		rm "$T/run/net.sock"
	done
}
