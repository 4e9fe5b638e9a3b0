# What the server and podfs-net owe each other: leaving pods, lists of pods, the end. PODFS_NET, NETCTL, PEER: the programs. As root.

load lib.bash

@test "leave: name and ports are free at once, the rest works until detach" {
	start_net
	attach 1 web port=8080:7000
	attach 2 p2
	serve web 7000
	hold
	say "leave $(uid 1)"
	mv "$T/ns/web" "$T/ns/old" 2>/dev/null || { touch "$T/ns/old"; mount --move "$T/ns/web" "$T/ns/old"; rm "$T/ns/web"; }
	[ ! -e "$T/run/names/web" ]
	[ "$(seen p2 tcp 10.213.0.5 7000)" = 10.213.0.6 ]
	say "$(attach_line 3 web port=8080:7000)" | grep -q '^ok'
	not heard .
	serve web 7000
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	say "leave $(uid 1)"
	say "detach $(uid 1)"
	[ "$(cat "$T/run/names/web")" = "10.213.0.7 web
fd12:3456::7 web" ]
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	say "leave $(uid 9)" | grep -qx ok
}

@test "sync: a listed pod that is not attached keeps its link until detach" {
	start_net
	pods 1 2
	kill -9 "$(net_pid)"
	within 5 not net_runs
	rm "$T/run/net.sock"
	start_net
	hold
	say "$(reattach_line 2 p2)"
	say "sync $(uid 1) $(uid 2)"
	say "leave $(uid 1)" | grep -qx ok
	inside p1 ping -qc 1 -W 5 10.213.0.6
	[ "$(ls "$T/run/names")" = p2 ]
	say "detach $(uid 1)" | grep -qx ok
	within 5 not host ip link show "$(veth 1)"
	inside p2 ping -qc 1 -W 5 $GW4
}

@test "setup: a server with other settings makes it end, and the next one takes all over" {
	unset PODFS_CNI_CONF
	export PODFS_CNI_PATH=/usr/lib/cni
	start_net
	attach 1 p1 port=8080:7000
	serve p1 7000
	run -0 ask "setup $T/run $T/state $BR $NET4 $NET6 $TABLE - /usr/lib/cni"
	[ "$output" = ok ]
	for other in "$T/run2 $T/state $BR $NET4 $NET6 $TABLE - /usr/lib/cni" "$T/run $T/state $BR $NET4 none $TABLE - /usr/lib/cni" \
		"$T/run $T/state $BR $NET4 $NET6 $TABLE /x /usr/lib/cni" "$T/run $T/state $BR $NET4 $NET6 $TABLE - -" "$T/run" -; do
		run ask "setup $other"
		echo "$output"
		grep -qx "error ESTALE podfs-net was started with other settings" <<<"$output"
		within 5 not net_runs
		[ ! -e "$T/run/net.sock" ]
		inside p1 ping -qc 1 -W 5 $GW4
		[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
		start_net
		ask "$(reattach_line 1 p1 port=8080:7000)" "sync $(uid 1)"
	done
	[ "$(seen host tcp 127.0.0.1 8080)" = $GW4 ]
}

@test "the end: at once with the last pod and the server, whatever is still to be removed" {
	start_net
	pods 1 2 3
	hold
	for i in 1 2 3; do say "detach $(uid $i)"; done
	drop_ns p1
	# p2 and p3 are kept
	local begin end
	begin=$(date +%s%N)
	unhold
	while net_runs; do :; done
	end=$(date +%s%N)
	echo "$(((end - begin) / 1000000)) ms"
	[ $((end - begin)) -lt 1000000000 ]
	nothing_left
}

@test "the end: pods that go after the server are noticed" {
	start_net
	attach 1 p1 port=8080:80
	pods 2
	drop_ns p1
	within 5 not host ip link show "$(veth 1)"
	within 5 eval '[ "$(ls "$T/run/names")" = p2 ]'
	net_runs
	inside p2 ping -qc 1 -W 5 $GW4
	drop_ns p2
	within 5 nothing_left
}

@test "the end: a pod that leaves while podfs-net is another leaves no bridge" {
	start_net
	pods 1
	kill -9 "$(net_pid)"
	within 5 not net_runs
	rm "$T/run/net.sock"
	start_net
	hold
	say "leave $(uid 1)"
	say "sync $(uid 1)"
	drop_ns p1
	within 5 not host ip link show "$(veth 1)"
	say "detach $(uid 1)"
	within 8 not host ip link show $BR
	[ -z "$(host nft list tables)" ]
}

@test "another name for the bridge: it is renamed, with its pods" {
	start_net podsold
	attach 1 p1 port=8080:7000
	pods 2
	serve p1 7000
	kill -9 "$(net_pid)"
	within 5 not net_runs
	rm "$T/run/net.sock"
	start_net
	hold
	say "$(reattach_line 1 p1 port=8080:7000)" | grep -q '^ok'
	say "$(reattach_line 2 p2)" | grep -q '^ok'
	say "sync $(uid 1) $(uid 2)"
	not host ip link show podsold
	inside p1 ping -qc 1 -W 5 10.213.0.6
	inside p1 ping -qc 1 -W 5 $GW6
	within 5 eval '[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]'
	host ip link show "$(veth 1)" | grep -q "alias $BR: pod p1"
	say "detach $(uid 1)"
	say "detach $(uid 2)"
	drop_ns p1
	drop_ns p2
	unhold
	within 5 nothing_left
}
