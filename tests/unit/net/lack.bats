# podfs-net on kernels that lack something, or let root do more than this one may: in a guest (tests/vm/run -U) that may load no modules but those named.
# PODFS_NET, NETCTL, PEER: the programs, of a plain build. As root.

load lib.bash

# Each test runs itself again in the guest. in_guest [PARAMETER]: of the module ipv6
in_guest() {
	local top why
	top=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd -P)
	why=$("$top/tests/vm/run" --check -U) || skip "$why"
	! nm "$PODFS_NET" 2>/dev/null | grep -q __asan_init || skip 'sanitized programs do not run there'
	# shellcheck disable=SC2016 # the guest's shell expands
	"$top/tests/vm/run" -U -t 120 -w "$(dirname "$PODFS_NET")" -w "$(dirname "$NETCTL")" -- env GUEST=1 "PODFS_NET=$PODFS_NET" \
		"NETCTL=$NETCTL" "PEER=$PEER" sh -c 'modprobe ipv6 "$0"; exec bats --tap -f "$@"' "${1:-disable=0}" "$BATS_TEST_DESCRIPTION" "$BATS_TEST_FILENAME"
}

# only MODULE…: that these may be loaded, and no other from now on
only() {
	local m
	modprobe -r nft_masq nft_fib_inet nft_nat nft_chain_nat nf_tables 2>/dev/null || :
	for m; do modprobe "$m"; done
	echo /bin/false >/proc/sys/kernel/modprobe
}

reach() {
	serve p2 7000
	serve host 7000
	[ "$(seen p1 tcp 10.213.0.6 7000)" = 10.213.0.5 ]
	[ "$(seen p1 tcp $GW4 7000)" = 10.213.0.5 ]
	[ "$(seen host tcp fd12:3456::6 7000)" = $GW6 ]
	within 10 resolves p1 p2 10.213.0.6
}

@test "a kernel without bridges" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	only
	start_net
	hold
	run say "$(attach_line 1 p1)"
	[[ $output == *"error EOPNOTSUPP this kernel has no links of kind bridge"* ]]
	unhold
	within 5 not net_runs
}

@test "a kernel without veth pairs" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	host ip link del up0
	modprobe -r veth
	only bridge
	start_net
	run ask "$(attach_line 1 p1)"
	[[ $output == *"error EOPNOTSUPP this kernel has no links of kind veth"* ]]
	within 5 not net_runs
	not host ip link show $BR
}

without_rules() {
	start_net
	hold
	say "$(attach_line 1 p1)"
	within 5 heard 'event - this kernel has no nftables'
	say "$(attach_line 2 p2)"
	[ "$(grep -c 'no nftables' "$T/said")" -eq 1 ]
	reach
	[[ $(say "ports $(uid 1) 8080:80") == *"error EOPNOTSUPP this kernel has no nftables"* ]]
	[[ $(say "$(attach_line 3 p3 port=8080:80)") == *"event $(uid 3) ports of pod p3: this kernel has no nftables"*ok* ]]
	info | grep -qx 'table none'
	ask sync
	within 5 not net_runs
	not host ip link show $BR
}

@test "a kernel without netfilter's sockets" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	only bridge veth
	without_rules
}

@test "a kernel without nftables" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	only bridge veth nfnetlink
	without_rules
}

@test "a kernel whose nftables lacks what the table needs" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	only bridge veth nf_tables
	without_rules
}

@test "a kernel that does not speak IPv6" {
	[ -n "${GUEST:-}" ] || { in_guest disable=1; return; }
	[ ! -e /proc/sys/net/ipv6 ]
	only bridge veth
	start_net
	hold
	run say "$(attach_line 1 p1)"
	[[ $output == *"ok 10.213.0.5/20 dns $GW4"* ]]
	say "$(attach_line 2 p2)"
	within 10 inside p1 ping -qc 1 -W 5 10.213.0.6
	within 10 resolves p1 p2 10.213.0.6
	info | grep -qx 'subnet6 none'
}

@test "the OOM killer chooses others first, and what podfs-net starts like any other process" {
	[ -n "${GUEST:-}" ] || { in_guest; return; }
	echo 77 >/proc/self/oom_score_adj
	start_net
	pods 1
	[ "$(cat "/proc/$(net_pid)/oom_score_adj")" = -999 ]
	within 5 pgrep -P "$(net_pid)" -x dnsmasq
	within 5 grep -qx 77 "/proc/$(pgrep -P "$(net_pid)" -x dnsmasq)/oom_score_adj"
}
