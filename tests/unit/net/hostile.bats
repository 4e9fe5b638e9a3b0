# What a hostile container can do to other pods and to the host, and what it cannot. PODFS_NET, NETCTL, PEER: the programs. As root.

load lib.bash

attack() { inside "$1" "$BATS_TEST_DIRNAME/attacker.py" "${@:2}"; }
# received NAME: frames that were not the bridge's own
received() { inside "$1" nft list chain netdev seen by | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
count() {
	inside "$1" nft -f - <<-END
		table netdev seen { chain by { type filter hook ingress device eth0 priority 0; ether saddr != 0a:58:0a:d5:00:01 counter; }; }
	END
}
neighbour() { inside "$1" ip neigh show "$2" | grep -o 'lladdr [0-9a-f:]*'; }
# p1 is the hostile one; the guard stands when this returns
three_pods() {
	start_net
	pods 1 2 3
	within 5 guarded
	for p in p1 p2 p3; do count $p; done
}
guarded() { host nft list set bridge $TABLE pods4 >/dev/null 2>&1; }
# unmoved NAME COMMAND…: nothing of what it does reaches that pod
unmoved() {
	local before
	before=$(received "$1")
	"${@:2}"
	inside "$1" ping -qc 1 -W 5 $GW4 >/dev/null # what was sent before has come by then
	[ "$(received "$1")" -eq "$before" ] || { echo "${*:2}: $(($(received "$1") - before)) frames came through"; return 1; }
}

@test "hostile: what is a pod's own comes through" {
	three_pods
	before=$(received p3)
	attack p1 echo 10.213.0.5 10.213.0.7
	attack p1 echo fd12:3456::5 fd12:3456::7
	attack p1 echo fe80::858:aff:fed5:5 fd12:3456::7
	attack p1 arp 10.213.0.5 10.213.0.7
	attack p1 advertise fd12:3456::5 fd12:3456::7
	# of arp both, of advertise all four
	within 5 eval '[ $(($(received p3) - before)) -ge 9 ]'
	inside p1 ping -qc 1 -W 5 fe80::858:aff:fed5:7%eth0
}

@test "hostile: the address of another pod, of the gateway, of nobody" {
	three_pods
	for source in 10.213.0.6 $GW4 10.213.0.77 192.0.2.2 127.0.0.1 fd12:3456::6 $GW6 fd12:3456::77 2001:db8::2 fe80::858:aff:fed5:6; do
		to=10.213.0.7
		[[ $source != *:* ]] || to=fd12:3456::7
		unmoved p3 attack p1 echo $source $to
	done
	# nor does the host believe it
	before=$(host awk '/^Icmp: [0-9]/ { print $9 }' /proc/net/snmp)
	attack p1 echo 10.213.0.6 $GW4
	attack p1 echo 192.0.2.2 $GW4
	[ "$(host awk '/^Icmp: [0-9]/ { print $9 }' /proc/net/snmp)" = "$before" ]
	inside p1 ip addr add 10.213.0.6/32 dev eth0
	not inside p1 ping -qc 1 -W 1 -I 10.213.0.6 10.213.0.7
	inside p2 ping -qc 1 -W 5 10.213.0.7
	inside p1 ping -qc 1 -W 5 -I 10.213.0.5 10.213.0.7
}

@test "hostile: another MAC, and many" {
	three_pods
	inside p2 ping -qc 1 -W 5 10.213.0.7
	unmoved p3 attack p1 macs 2000
	[ "$(host bridge fdb show br $BR | grep -c 02:77)" -eq 0 ]
	inside p1 ip link set eth0 address 0a:58:0a:d5:00:06
	unmoved p3 attack p1 echo 10.213.0.6 10.213.0.7
	unmoved p2 attack p1 echo 10.213.0.6 10.213.0.7
	host bridge fdb show br $BR | grep -q "0a:58:0a:d5:00:06 dev $(veth 2) master"
	inside p2 ping -qc 1 -W 5 10.213.0.7
	inside p3 ping -qc 1 -W 5 10.213.0.6
	inside p1 ip link set eth0 address 0a:58:0a:d5:00:05
	inside p1 ip link set eth0 up
	within 5 inside p1 ping -qc 1 -W 1 10.213.0.7
}

@test "hostile: ARP and neighbour advertisements for others" {
	three_pods
	inside p3 ping -qc 1 -W 5 10.213.0.6
	inside p3 ping -qc 1 -W 5 fd12:3456::6
	for claimed in 10.213.0.6 $GW4 10.213.0.77; do
		unmoved p3 attack p1 arp $claimed 10.213.0.7
	done
	for claimed in fd12:3456::6 $GW6 fd12:3456::77; do
		unmoved p3 attack p1 advertise $claimed fd12:3456::7
	done
	[ "$(neighbour p3 10.213.0.6)" = "lladdr 0a:58:0a:d5:00:06" ]
	[ "$(neighbour p3 fd12:3456::6)" = "lladdr 0a:58:0a:d5:00:06" ]
	[ "$(neighbour p3 $GW4)" = "lladdr 0a:58:0a:d5:00:01" ]
	host ip neigh show 10.213.0.6 | grep -q '0a:58:0a:d5:00:06 PERMANENT'
}

@test "hostile: a router that nobody has" {
	three_pods
	attach 4 p4 # made while the guard stood: its kernel would believe a router
	count p4
	[ "$(inside p4 cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = 1 ]
	for p in p3 p4; do unmoved $p attack p1 router fd66::; done
	unmoved p3 attack p1 redirect fd12:3456::7 $GW6 2001:db8::2
	unmoved p3 attack p1 redirect fd12:3456::7 fe80::858:aff:fed5:1 2001:db8::2
	[ -z "$(inside p4 ip -6 addr show dev eth0 | grep fd66)" ]
	[ "$(inside p4 ip -6 route show default | wc -l)" -eq 1 ]
}

@test "hostile: a storm of broadcasts is cut, for who makes it alone" {
	three_pods
	before=$(received p3)
	attack p1 broadcast 20000
	[ $(($(received p3) - before)) -lt 5000 ]
	inside p3 ip neigh flush dev eth0 nud reachable nud stale 2>/dev/null || :
	inside p3 ip neigh del 10.213.0.6 dev eth0 2>/dev/null || :
	inside p3 ping -qc 1 -W 5 10.213.0.6
}

@test "hostile: what a pod listens to is not told to others" {
	three_pods
	local before
	before=$(received p3)
	for i in 1 2 3 4 5; do inside p1 ip -6 maddr show dev eth0 >/dev/null; done
	inside p1 sh -c 'for i in 1 2 3 4; do timeout 0.2 socat -u "UDP6-RECV:5353,ipv6-join-group=[ff02::4]:eth0" /dev/null; done' || :
	[ "$(received p3)" = "$before" ]
	# nor that one looks for a router: one that was made while the guard stood does, as it comes up
	attach 4 p4
	[ "$(inside p4 cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = 1 ]
	count p4
	inside p4 sh -c 'ip link set eth0 down; ip link set eth0 up'
	within 5 eval 'inside p4 grep -q "^Icmp6OutRouterSolicits[[:space:]]*[1-9]" /proc/net/snmp6'
	unmoved p3 true
}

@test "hostile: rubbish does not end dnsmasq" {
	three_pods
	within 10 resolves p2 p3 10.213.0.7
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	attack p1 junk 5000 $GW4 53
	within 5 resolves p2 p3 10.213.0.7
	[ "$(pgrep -P "$(net_pid)" -x dnsmasq)" = "$dns" ]
}

@test "hostile: somebody who flushes the host's rules makes no hole, and the guard grows with the pods" {
	three_pods
	hold
	host nft flush ruleset
	within 5 heard 'the nftables table was removed'
	unmoved p3 attack p1 echo 10.213.0.6 10.213.0.7
	# far ahead, and at the end of a block
	for host in 1500 126 127 128; do
		say "attach $(uid $host) h$host $host keep=$T/ns/h$host" | grep -q '^ok'
		inside h$host ping -qc 1 -W 5 10.213.0.7
		inside h$host ping -qc 1 -W 5 fd12:3456::7
	done
	[ "$(host nft list set bridge $TABLE pods4 | grep -o '10\.213\.' | wc -l)" -le 256 ]
	unhold
	for p in 1 2 3 1500 126 127 128; do echo "detach $(uid $p)"; done | "$NETCTL" "$T/run"
	within 10 nothing_left
}

@test "hostile: no guard for what is no pod's" {
	host ip link add other0 type bridge
	host ip link set other0 up
	namespace guest
	host ip link add o0 type veth peer name eth0 netns "$T/ns/guest"
	host ip link set o0 master other0 up
	address guest eth0 10.99.0.5/24 fd99::5/64
	host ip addr add 10.99.0.1/24 dev other0
	three_pods
	inside guest ping -qc 1 -W 5 10.99.0.1
	inside guest ping -qc 1 -W 5 -I 10.99.0.5 10.213.0.5 || :
	inside guest ip addr add 10.99.0.6/24 dev eth0
	inside guest ping -qc 1 -W 5 -I 10.99.0.6 10.99.0.1
}
