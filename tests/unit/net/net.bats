# podfs-net on a host of its own: who reaches whom, what is repaired, what is left. PODFS_NET, NETCTL, PEER: the programs. As root.

load lib.bash

saw() { # FROM ADDRESS EXPECTED: over TCP and UDP
	local got
	for proto in tcp udp; do
		got=$(seen "$1" "$proto" "$2" 7000)
		[ "$got" = "$3" ] || { echo "$1 -> $2 over $proto was seen as '$got', not $3"; return 1; }
	done
}

@test "pods reach each other, the host and the world, and are reached by the host" {
	start_net
	run -0 pods 1 2 3
	grep -qx "ok 10.213.0.5/20 fd12:3456::5/64 dns $GW4 dns $GW6" <<<"$output"
	for where in p2 host world; do
		serve "$where" 7000
	done
	saw p1 10.213.0.6 10.213.0.5
	saw p1 fd12:3456::6 fd12:3456::5
	saw p1 $GW4 10.213.0.5
	saw p1 $GW6 fd12:3456::5
	saw p1 192.0.2.1 10.213.0.5
	saw p1 2001:db8::1 fd12:3456::5
	saw host 10.213.0.6 $GW4
	saw host fd12:3456::6 $GW6
	saw p1 192.0.2.2 192.0.2.1
	saw p1 2001:db8::2 2001:db8::1
	inside p3 ping -qc 1 -W 5 10.213.0.6
	inside p3 ping -qc 1 -W 5 fd12:3456::6
}

@test "what a pod has: eth0 with a MAC of its address, no duplicate address detection, no router but ours" {
	start_net
	pods 1
	run -0 inside p1 ip -o addr show dev eth0
	[[ $output == *"10.213.0.5/20"* ]] && [[ $output == *"fd12:3456::5/64"*nodad* ]]
	[[ $(grep fd12: <<<"$output") != *tentative* ]]
	inside p1 ip link show eth0 | grep -q 0a:58:0a:d5:00:05
	[ "$(inside p1 ip route show default)" = "default via $GW4 dev eth0 proto static " ]
	[[ $(inside p1 ip -6 route show default) == "default via $GW6 dev eth0 proto static"* ]]
	[ "$(inside p1 cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = 0 ]
	inside p1 ping -qc 1 -W 5 127.0.0.1
	host ip link show "$(veth 1)" | grep -q "alias $BR: pod p1 $(uid 1)"
	[ -z "$(host ip -o addr show dev "$(veth 1)")" ]
	within 5 settled
}

settled() { [[ $(inside p1 ip -6 addr show dev eth0 scope link) == *"fe80::"* ]] && [[ $(inside p1 ip -6 addr show dev eth0) != *@(tentative|dadfailed)* ]]; }

@test "only IPv4, only IPv6" {
	start_net $BR $NET4 none
	pods 1 2
	inside p1 ping -qc 1 -W 5 10.213.0.6
	[ -z "$(inside p1 ip -6 addr show dev eth0 scope global)" ]
	ask "detach $(uid 1)" "detach $(uid 2)"
	drop_ns p1
	drop_ns p2
	within 10 nothing_left
	start_net $BR none $NET6
	pods 1 2
	inside p1 ping -qc 1 -W 5 fd12:3456::6
	[ -z "$(inside p1 ip -4 addr show dev eth0)" ]
}

@test "detach: nothing is left, on the host, in the folder, no process" {
	start_net
	pods 1 2 3
	ask "$(reattach_line 1 p1 port=8080:80 out=1000000)"
	ask "detach $(uid 1)" "detach $(uid 2)" "detach $(uid 3)"
	drop_ns p1
	drop_ns p2
	drop_ns p3
	within 10 nothing_left
}

@test "detach: a pod whose namespace somebody keeps loses its link all the same" {
	start_net
	pods 1 2
	hold
	say "detach $(uid 1)"
	within 10 not host ip link show "$(veth 1)"
	host ip link show $BR
	say "detach $(uid 2)"
	within 10 not host ip link show $BR
	not heard .
	net_runs
	unhold
	within 10 nothing_left
}

@test "a pod without a server keeps podfs-net, the last one ends it" {
	start_net
	pods 1
	net_runs
	ask "detach $(uid 1)"
	drop_ns p1
	within 10 nothing_left
}

@test "attaching again repairs what is missing and says so" {
	start_net
	pods 1 2
	hold
	inside p1 ip route del default
	inside p1 ip addr del 10.213.0.5/20 dev eth0
	[[ $(say "$(reattach_line 1 p1)") == *ok* ]]
	heard 'addresses or routes of pod p1 were missing'
	inside p1 ping -qc 1 -W 5 10.213.0.6
	host ip link set "$(veth 1)" nomaster
	say "$(reattach_line 1 p1)"
	inside p1 ping -qc 1 -W 5 10.213.0.6
	inside p1 ip link set eth0 down
	host ip link set "$(veth 1)" down
	say "$(reattach_line 1 p1)"
	within 5 inside p1 ping -qc 1 -W 5 fd12:3456::6
	host ip link del "$(veth 1)"
	say "$(reattach_line 1 p1)"
	heard 'the network of pod p1 was missing'
	inside p1 ping -qc 1 -W 5 10.213.0.6
	: >"$T/said"
	say "$(reattach_line 1 p1)"
	not heard .
}

@test "attaching again without a namespace makes a new one" {
	start_net
	pods 1 2
	drop_ns p1
	pods 1
	inside p1 ping -qc 1 -W 5 10.213.0.6
	[ "$(host ip -o link show type veth | grep -c "$(veth 1)")" -eq 1 ]
}

@test "a bridge that is removed or taken down is made again at once, with its pods" {
	start_net
	pods 1 2
	hold
	host ip link del $BR
	within 5 heard 'the bridge was removed'
	inside p1 ping -qc 1 -W 5 10.213.0.6
	inside p1 ping -qc 1 -W 5 $GW6
	: >"$T/said"
	host ip link set $BR down
	within 5 heard 'the bridge was removed or changed'
	within 5 inside p1 ping -qc 1 -W 5 $GW6
	inside p1 ping -qc 1 -W 5 10.213.0.6
}

@test "addresses of the bridge that are removed come back at once" {
	start_net
	pods 1 2
	hold
	host ip addr flush dev $BR
	within 5 heard 'an address of the bridge was removed or changed by somebody: it was made again'
	within 5 inside p1 ping -qc 1 -W 1 $GW4
	within 5 inside p1 ping -qc 1 -W 1 $GW6
	: >"$T/said"
	host ip -6 addr del "$GW6/64" dev $BR
	within 5 heard 'an address of the bridge was removed'
	within 5 inside p1 ping -qc 1 -W 1 $GW6
	inside p1 ping -qc 1 -W 5 10.213.0.6
	: >"$T/said"
	host ip addr add 198.51.100.1/32 dev $BR
	host ip addr del 198.51.100.1/32 dev $BR
	say "$(reattach_line 1 p1)"
	not heard .
}

@test "a pod's link that is set down or taken out of the bridge is put back at once; of one that is deleted the server is told" {
	start_net
	pods 1 2
	hold
	for change in down nomaster; do
		: >"$T/said"
		host ip link set "$(veth 1)" $change
		within 5 heard 'somebody disconnected pod p1 from the bridge: it was put back'
		within 5 inside p1 ping -qc 1 -W 1 10.213.0.6
		within 5 inside p1 ping -qc 1 -W 1 $GW6
	done
	: >"$T/said"
	host ip link set "$(veth 1)" up
	host ip link set "$(veth 1)" mtu 1400
	say "$(reattach_line 1 p1)"
	not heard .
	host ip link del "$(veth 1)"
	within 5 heard 'the network of pod p1 is gone'
	say "$(reattach_line 1 p1)"
	within 5 inside p1 ping -qc 1 -W 1 10.213.0.6
}

@test "a ruleset that is flushed comes back at once, with what is published" {
	start_net
	attach 1 p1 port=8080:7000
	serve p1 7000
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	before=$(host nft list ruleset)
	hold
	host nft flush ruleset
	within 5 heard 'the nftables table was removed'
	[ "$(host nft list ruleset)" = "$before" ]
	host nft flush chain inet $TABLE postrouting
	host nft flush map inet $TABLE published_any4
	within 5 same_rules "$before"
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
}
same_rules() { [ "$(host nft list ruleset)" = "$1" ]; }

@test "published ports: from the world, from a pod, from the pod itself" {
	start_net
	attach 1 p1 port=8080:7000 port=8080:7000/udp
	attach 2 p2
	serve p1 7000
	# Where the host filters what it bridges, and where it does not.
	for filter in 1 0; do
	host sh -c "for f in /proc/sys/net/bridge/bridge-nf-call-ip*; do [ ! -e \$f ] || echo $filter >\$f; done"
	for proto in tcp udp; do
		[ "$(seen world $proto 192.0.2.1 8080)" = 192.0.2.2 ]
		[ "$(seen world $proto 2001:db8::1 8080)" = 2001:db8::2 ]
		[ "$(seen p2 $proto 192.0.2.1 8080)" = $GW4 ]
		[ "$(seen p2 $proto $GW6 8080)" = $GW6 ]
		[ "$(seen p1 $proto 192.0.2.1 8080)" = $GW4 ]
		[ "$(seen p1 $proto 2001:db8::1 8080)" = $GW6 ]
	done
	done
	ask "ports $(uid 1)"
	not seen world tcp 192.0.2.1 8080
	[ "$(host nft list map inet $TABLE published_any4 | grep -c elements)" -eq 0 ]
}

@test "sync: what belongs to nobody goes, what is others' stays" {
	start_net
	pods 1 2
	ask "$(reattach_line 2 p2 port=8081:80 out=1000000)"
	host ip link add "$(veth 9)" type veth peer name stray
	host ip link set "$(veth 9)" alias "$BR: pod gone $(uid 9)"
	host ip link add pfstranger type bridge
	host ip link add pfother type bridge
	host ip link set pfother alias "pfb7: pod web $(uid 8)"
	touch "$T/run/names/gone"
	ask "sync $(uid 1)"
	within 5 not host ip link show "$(veth 9)"
	within 5 not host ip link show "$(veth 2)"
	host ip link show pfstranger
	host ip link show pfother
	[ "$(ls "$T/run/names")" = p1 ]
	[[ $(host nft list map inet $TABLE published_any4) != *8081* ]]
	[ -z "$(host ip link show type ifb)" ]
	inside p1 ping -qc 1 -W 5 $GW4
}

@test "kill -9: nothing stops, and the next one takes everything over" {
	start_net
	attach 1 p1 port=8080:7000
	attach 2 p2 port=8082:7000
	attach 3 p3
	serve p1 7000
	kill -9 "$(net_pid)"
	within 5 not net_runs
	inside p2 ping -qc 1 -W 5 10.213.0.5
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	rm "$T/run/net.sock"
	start_net
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	ask "$(reattach_line 1 p1 port=8080:7000)" "$(reattach_line 3 p3)" "sync $(uid 1) $(uid 3)"
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	[ "$(seen host tcp 127.0.0.1 8080)" = $GW4 ]
	[[ $(host nft list map inet $TABLE published_any4) == *"tcp . 8080 : 10.213.0.5 . 7000 }"* ]]
	within 5 not host ip link show "$(veth 2)"
	within 10 resolves p1 p3 10.213.0.7
	[ "$(ls "$T/run/names" | paste -sd' ')" = "p1 p3" ]
}

@test "kill -9 and no pod left: sync removes what the first one had made" {
	start_net
	pods 1
	kill -9 "$(net_pid)"
	within 5 not net_runs
	drop_ns p1
	rm "$T/run/net.sock"
	start_net
	ask sync
	within 10 nothing_left
}

@test "a server that dies before it has attached its pods again takes nothing away" {
	start_net
	pods 1 2
	kill -9 "$(net_pid)"
	within 5 not net_runs
	rm "$T/run/net.sock"
	start_net
	ask "rate $(uid 1) 0 0" || :
	within 5 not net_runs
	inside p1 ping -qc 1 -W 5 10.213.0.6
	host ip link show $BR
}

@test "the host's own rules stay as they are, byte for byte" {
	host nft -f - <<-'EOF'
		table inet filter {
			set seen { type ipv4_addr; elements = { 198.51.100.1, 198.51.100.2 } }
			chain input { type filter hook input priority filter; policy accept; ip saddr @seen counter drop; }
			chain forward { type filter hook forward priority filter; policy accept; }
		}
		table ip nat { chain post { type nat hook postrouting priority 90; oifname "up0" ip saddr 172.30.0.0/16 masquerade; }; }
	EOF
	host iptables-legacy -A INPUT -s 198.51.100.9 -j DROP
	host iptables-legacy -t nat -A POSTROUTING -s 172.29.0.0/16 -j MASQUERADE
	host ip6tables-legacy -A FORWARD -s 2001:db8:9::/48 -j ACCEPT
	before=$(rules)
	hash=$(host ip -o link; host ip route; host ip -6 route)
	start_net
	pods 1 2
	ask "ports $(uid 1) 8080:80"
	[ "$(rules)" = "$before" ]
	ask "detach $(uid 1)" "detach $(uid 2)"
	drop_ns p1
	drop_ns p2
	within 10 nothing_of_ours
	[ "$(rules)" = "$before" ]
	[ "$(host ip -o link; host ip route; host ip -6 route)" = "$hash" ]
}
rules() {
	host nft list table inet filter
	host nft list table ip nat
	host iptables-legacy-save | grep -v '^[#:]'
	host ip6tables-legacy-save | grep -v '^[#:]'
}
nothing_of_ours() { ! host nft list tables | grep -q $TABLE && ! host ip link show $BR && ! net_runs; }

@test "no legacy table is made by looking for one" {
	start_net
	pods 1
	[ -z "$(host cat /proc/self/net/ip_tables_names)" ]
	[ -z "$(host cat /proc/self/net/ip6_tables_names)" ]
}

@test "a forward chain that drops is named, one that accepts the bridge is not" {
	host iptables-legacy -P FORWARD DROP
	host nft add table inet fw
	host nft add chain inet fw forward '{ type filter hook forward priority 0; policy drop; }'
	host nft add table inet fw2
	host nft add chain inet fw2 onward '{ type filter hook forward priority 5; }'
	host nft add rule inet fw2 onward ct state established accept
	host nft add rule inet fw2 onward counter reject
	start_net
	hold
	say "$(attach_line 1 p1)"
	within 5 heard 'firewall may drop'
	grep 'firewall may drop' "$T/said"
	heard 'chain forward of table inet fw,'
	heard 'chain onward of table inet fw2'
	heard 'chain FORWARD of iptables'
	not heard ip6tables
	inside p1 ping -qc 1 -W 5 $GW4
	not inside p1 ping -qc 1 -W 1 192.0.2.2
	host iptables-legacy -A FORWARD -i $BR -j ACCEPT
	host nft add rule inet fw forward iifname $BR accept
	host nft insert rule inet fw2 onward oifname $BR accept
	: >"$T/said"
	host ip link del $BR
	within 5 heard 'bridge was removed'
	say "$(reattach_line 1 p1)"
	not heard 'firewall may drop'
}

@test "forwarding: links of a host stay links of a host" {
	host sh -c 'echo 1 >/proc/sys/net/ipv6/conf/up0/accept_ra'
	start_net
	pods 1
	[ "$(host cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/$BR/forwarding)" = 1 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/up0/forwarding)" = 0 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/up0/accept_ra)" = 1 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/default/forwarding)" = 0 ]
	[ "$(host cat /proc/sys/net/ipv6/conf/default/accept_ra)" = 1 ]
}

@test "a subnet that the host uses is refused, in words" {
	host ip route add 10.213.8.0/24 via 192.0.2.2
	start_net
	hold
	[[ $(say "$(attach_line 1 p1)") == *"error EADDRNOTAVAIL subnet 10.213.0.0/20 of the pods overlaps with 10.213.8.0/24, which this host reaches by up0"* ]]
	not host ip link show $BR
	host ip route del 10.213.8.0/24
	host ip addr add fd12:3456::77/128 dev lo
	[[ $(say "$(attach_line 1 p1)") == *"subnet fd12:3456::/64 of the pods overlaps with fd12:3456::77/128, which this host reaches by lo"* ]]
	host ip addr del fd12:3456::77/128 dev lo
	[[ $(say "$(attach_line 1 p1)") == *ok* ]]
}

@test "a link of that name that is somebody else's is refused" {
	host ip link add $BR type bridge
	start_net
	run ask "$(attach_line 1 p1)"
	[[ $output == *"error EEXIST there is a link $BR already that is not this podfs'"* ]]
	host ip link show $BR
}

@test "requests that make no sense are refused, and nothing happens" {
	start_net
	hold
	ok=$(uid 1)
	for line in "attach x p1 5" "attach $ok Web 5" "attach $ok ../x 5" "attach $ok p1 0" "attach $ok p1 1" "attach $ok p1 4095" \
		"attach $ok p1 4096" "attach $ok p1 18446744073709551615" "attach $ok p1 5 ns=$T/pid" "attach $ok p1 5 in=1" "rate $ok 1 1" "ports $ok 80" \
		"raw 128" "raw 128 128=$ok" "raw 77" "raw 134 128=zz" "detach x" "attach $ok p1 5 ns=/proc/self/ns/uts"; do
		[[ $(say "$line") == *error* ]] || { echo "taken: $line"; return 1; }
	done
	within 5 not host ip link show $BR 2>/dev/null
	say "detach $ok"
	say "$(attach_line 1 p1)"
	[[ $(say "attach $(uid 2) p2 5") == *"its address is pod p1's"* ]]
	printf 'junk abcdefghijklmnopqrstuvwxyz\n' >&7
	within 5 grep -q '^closed' "$T/said"
	ask "rate $ok 0 0"
}

@test "the newest server is the server" {
	start_net
	hold
	say "$(attach_line 1 p1)"
	ask "$(attach_line 2 p2)"
	within 10 grep -q '^closed' "$T/said"
	net_runs
}

@test "rates: what a pod sends and receives stays below them" {
	command -v iperf3 >/dev/null || skip 'no iperf3'
	start_net
	pods 1 2
	background p2 iperf3 -s >/dev/null 2>&1
	within 5 listens_one p2 5201
	ask "rate $(uid 1) 40000000 20000000"
	between 10 21 "$(mbits p1 10.213.0.6)"
	between 20 42 "$(mbits p1 10.213.0.6 -R)"
	ask "rate $(uid 1) 0 100000000"
	between 40 105 "$(mbits p1 fd12:3456::6)"
	ask "rate $(uid 1) 0 0"
	between 200 1000000 "$(mbits p1 10.213.0.6 -R)"
	between 200 1000000 "$(mbits p1 10.213.0.6)"
	[ -z "$(host ip link show type ifb)" ]
	[[ $(host tc qdisc show dev "$(veth 1)") != *@(tbf|ingress)* ]]
}
listens_one() { inside "$1" ss -Hlnt "sport = $2" | grep -q .; }
mbits() { local pod=$1 to=$2; shift 2; inside "$pod" iperf3 -c "$to" -t 2 -J "$@" | jq '.end.sum_received.bits_per_second / 1e6 | floor'; }
between() { [ "$3" -ge "$1" ] && [ "$3" -le "$2" ] || { echo "$3 Mbit/s is not between $1 and $2"; return 1; }; }

@test "sixty pods come and go" {
	start_net
	run -0 ask 'bench 60'
	echo "$output"
	within 20 nothing_left
}
