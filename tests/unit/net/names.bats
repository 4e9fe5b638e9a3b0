# Names: dnsmasq on the bridge, and who has port 53. PODFS_NET, NETCTL, PEER: the programs. As root.

load lib.bash

@test "names: every pod finds every other, the host too; a name that is gone is gone" {
	start_net
	pods 1 2
	within 10 resolves p1 p2 10.213.0.6
	resolves p1 p2 fd12:3456::6
	inside p2 busybox nslookup p1 $GW6 | grep -qx 'Address: 10.213.0.5'
	host busybox nslookup p1 $GW4 | grep -qx 'Address: 10.213.0.5'
	inside p1 busybox nslookup 10.213.0.6 $GW4 | grep -q 'name = p2$'
	inside p1 busybox nslookup nobody $GW4 | grep -q NXDOMAIN
	pods 3
	within 5 resolves p1 p3 10.213.0.7
	ask "detach $(uid 2)"
	within 5 not resolves p1 p2 10.213.0.6
}

@test "names: a name passes to the next pod of that name, also while the first still leaves" {
	start_net
	pods 1
	attach 2 web
	within 10 resolves p1 web 10.213.0.6
	drop_ns web
	attach 3 web
	within 5 resolves p1 web 10.213.0.7
	ask "detach $(uid 2)"
	resolves p1 web 10.213.0.7
	[ "$(cat "$T/run/names/web")" = "10.213.0.7 web
fd12:3456::7 web" ]
}

@test "names: all else is asked of the host's servers; plain names are not" {
	background world dnsmasq -k -C /dev/null --pid-file= --log-facility="$T/queries" -q --no-hosts --no-resolv --address=/example.test/198.51.100.7
	start_net
	pods 1
	within 10 resolves p1 example.test 198.51.100.7
	not resolves p1 nobody 198.51.100.7
	not grep -q 'query.*nobody' "$T/queries"
}

@test "names: without dnsmasq that is said once, and all else works" {
	WITHOUT=/usr/sbin/dnsmasq start_net
	hold
	say "$(attach_line 1 p1)"
	within 5 heard 'dnsmasq is not installed'
	inside p1 ping -qc 1 -W 5 $GW4
	: >"$T/said"
	host ip link del $BR
	within 5 heard 'bridge was removed'
	say "$(attach_line 2 p2)"
	not heard 'dnsmasq'
}

@test "names: dnsmasq is an ordinary user, is started again, and ends with podfs-net" {
	start_net
	pods 1
	hold
	within 10 resolves p1 p1 10.213.0.5
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	[ "$(stat -c %U /proc/"$dns")" = dnsmasq ]
	grep -q '^CapEff:[[:space:]]*0000000000000000$' /proc/"$dns"/status
	kill -9 "$dns"
	within 5 heard 'dnsmasq has ended'
	within 10 resolves p1 p1 10.213.0.5
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	kill -9 "$(net_pid)"
	within 5 not kill -0 "$dns"
}

@test "names: port 53 is nobody's: a pod publishes it, and catches no other pod's questions" {
	start_net
	attach 1 p1 port=53:7000/udp port=53:7000
	attach 2 p2
	serve p1 7000
	for proto in tcp udp; do
		[ "$(seen world $proto 192.0.2.1 53)" = 192.0.2.2 ]
		[ "$(seen world $proto 2001:db8::1 53)" = 2001:db8::2 ]
		[ "$(seen p2 $proto 192.0.2.1 53)" = $GW4 ]
		[ "$(seen host $proto 127.0.0.1 53)" = $GW4 ]
	done
	within 10 resolves p2 p1 10.213.0.5
	resolves p1 p2 10.213.0.6
	inside p2 busybox nslookup p1 $GW6 | grep -qx 'Address: 10.213.0.5'
	host busybox nslookup p1 $GW4 | grep -qx 'Address: 10.213.0.5'
	host busybox nslookup p1 $GW6 | grep -qx 'Address: 10.213.0.5'
	over_tcp p2 $GW4
	over_tcp p2 "[$GW6]"
	over_tcp host $GW4
}
# over_tcp FROM SERVER: a question for p1 (A, IN) and its length, by hand
over_tcp() {
	printf '\0\024\022\064\001\0\0\001\0\0\0\0\0\0\002p1\0\0\001\0\001' | inside "$1" socat -t 2 - "TCP:$2:53" | od -An -tu1 -v | tr -s ' \n' ' ' |
		grep -q '10 213 0 5'
}

@test "names: a server of the host at every address keeps its port 53, and dnsmasq works" {
	background host dnsmasq -k -C /dev/null --pid-file= --log-facility="$T/queries" --no-hosts --no-resolv --address=/host.test/198.51.100.9
	within 5 host sh -c 'ss -Hlnu "sport = 53" | grep -q "0.0.0.0:53"'
	start_net
	pods 1 2
	within 10 resolves p1 p2 10.213.0.6
	inside p1 busybox nslookup p2 $GW6 | grep -qx 'Address: 10.213.0.6'
	host busybox nslookup host.test 127.0.0.1 | grep -qx 'Address: 198.51.100.9'
	inside p1 busybox nslookup host.test 192.0.2.1 | grep -qx 'Address: 198.51.100.9'
	run ask "ports $(uid 1) 53:53/udp"
	[[ $output == "error EADDRINUSE 53:53/udp: port 53 is in use by dnsmasq (pid "* ]]
}

@test "names: whoever has dnsmasq's port, it finds another one" {
	background host socat UDP4-RECVFROM:10053,fork EXEC:true
	background host socat TCP6-LISTEN:10054,ipv6only,fork EXEC:true
	within 5 listens host 10053 -u
	within 5 listens host 10054 -t
	start_net
	pods 1 2
	within 10 resolves p1 p2 10.213.0.6
	host ss -Hlnu 'sport = 10055' | grep -qF $GW4
	# in the moment between the look and dnsmasq's own
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	hold
	kill -STOP "$(net_pid)"
	kill -9 "$dns"
	within 5 not listens host 10055 -u
	background host socat UDP4-RECVFROM:10055,fork EXEC:true
	within 5 listens host 10055 -u
	kill -CONT "$(net_pid)"
	within 10 resolves p1 p2 10.213.0.6
	inside p1 busybox nslookup p2 $GW6 | grep -qx 'Address: 10.213.0.6'
	host ss -Hlnu 'sport = 10056' | grep -qF $GW4
}
listens() { inside "$1" ss -Hln "$3" "sport = $2" | grep -q .; }

@test "names: a host that asks the pods' server is not asked in turn" {
	background world dnsmasq -k -C /dev/null --pid-file= --log-facility="$T/queries" -q --no-hosts --no-resolv --address=/example.test/198.51.100.7
	printf 'nameserver %s\nnameserver 192.0.2.2\n' $GW4 >"$T/etc/resolv.conf"
	start_net
	pods 1
	within 10 resolves p1 example.test 198.51.100.7
	resolves host example.test 198.51.100.7
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	local before
	before=$(ticks "$dns")
	for i in 1 2 3 4 5; do not inside p1 busybox nslookup "nowhere$i.test" $GW4; done
	[ $(($(ticks "$dns") - before)) -lt 10 ]
}
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

@test "names: dnsmasq holds no mount of the host's" {
	mkdir "$T/mounted"
	mount -t tmpfs podfs-net-test "$T/mounted"
	start_net
	pods 1
	within 10 resolves p1 p1 10.213.0.5
	dns=$(pgrep -P "$(net_pid)" -x dnsmasq)
	run -0 awk '{ print $5 }' "/proc/$dns/mountinfo"
	for m in "${lines[@]}"; do
		case $m in
		/ | /mnt | /usr* | /lib* | /etc* | /dev | /run | /run/systemd/resolve) ;;
		*) echo "$m"; false ;;
		esac
	done
	umount "$T/mounted"
}
