# Published ports of podfs-net: who holds one, what the host itself reaches. PODFS_NET, NETCTL: the programs. As root.

load lib.bash

# locally PORT: the host's own processes reach it by each address and protocol; the pod sees them as the bridge
locally() {
	local to
	for proto in tcp udp; do
		for to in 127.0.0.1 127.0.0.2 192.0.2.1 $GW4; do [ "$(seen host $proto $to "$1")" = $GW4 ]; done
		for to in ::1 2001:db8::1 $GW6; do [ "$(seen host $proto $to "$1")" = $GW6 ]; done
	done
}

@test "the host itself reaches a published port at each of its addresses" {
	start_net
	attach 1 p1 port=8080:7000 port=8080:7000/udp
	serve p1 7000
	locally 8080
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	# only there
	ask "ports $(uid 1) 127.0.0.1:8080:7000 [2001:db8::1]:8081:7000"
	[ "$(seen host tcp 127.0.0.1 8080)" = $GW4 ]
	[ -z "$(seen host tcp 192.0.2.1 8080)" ]
	[ -z "$(seen host tcp ::1 8080)" ]
	[ -z "$(seen world tcp 192.0.2.1 8080)" ]
	[ "$(seen host tcp 2001:db8::1 8081)" = $GW6 ]
	[ "$(seen world tcp 2001:db8::1 8081)" = 2001:db8::2 ]
	[ -z "$(seen host tcp ::1 8081)" ]
}

@test "a port in use is refused and says by whom, and what was published stays" {
	start_net
	attach 1 p1 port=8080:7000
	attach 2 p2
	serve p1 7000
	background host socat TCP4-LISTEN:9090,fork,reuseaddr EXEC:true
	within 10 host sh -c 'ss -Hlnt "sport = 9090" | grep -q .'
	local pid
	pid=$(host ss -Hlntp 'sport = 9090' | sed 's/.*pid=\([0-9]*\).*/\1/')
	run -1 ask "ports $(uid 1) 8080:7000 9090:7000"
	[ "$output" = "error EADDRINUSE 9090:7000/tcp: port 9090 is in use by socat (pid $pid)" ]
	run -1 ask "ports $(uid 2) 8080:1"
	[ "$output" = "error EADDRINUSE 8080:1/tcp: port 8080 is in use by the pod p1" ]
	run -1 ask "ports $(uid 1) 203.0.113.9:8080:7000"
	[ "$output" = "error EADDRNOTAVAIL 203.0.113.9:8080:7000/tcp: the host does not have the address 203.0.113.9" ]
	run -1 ask "ports $(uid 1) 80"
	[[ $output == "error EINVAL "*"8080:80" ]]
	[ "$(seen host tcp 127.0.0.1 8080)" = $GW4 ]
	[ "$(seen world tcp 192.0.2.1 8080)" = 192.0.2.2 ]
	kill $pid
	within 10 host sh -c '! ss -Hlnt "sport = 9090" | grep -q .'
	ask "ports $(uid 1) 8080:7000 9090:7000"
	[ "$(seen world tcp 192.0.2.1 9090)" = 192.0.2.2 ]
	# and nobody else gets it now
	run -1 host timeout 5 socat TCP4-LISTEN:9090,reuseaddr EXEC:true
	[[ $output == *"in use"* ]]
}

@test "200 published ports" {
	start_net
	attach 1 p1 port=20000-20199:7000-7199
	serve p1 7000
	serve p1 7199
	[ "$(seen host tcp 127.0.0.1 20000)" = $GW4 ]
	[ "$(seen world tcp 2001:db8::1 20199)" = 2001:db8::2 ]
	[ "$(host ss -Hlnt 'sport >= 20000 and sport <= 20199' | wc -l)" -eq 400 ]
	ask "ports $(uid 1)"
	[ "$(host ss -Hlnt 'sport >= 20000 and sport <= 20199' | wc -l)" -eq 0 ]
}

@test "kill -9: the next one holds the ports again, detach gives them back" {
	start_net
	attach 1 p1 port=8080:7000 port=8080:7000/udp
	serve p1 7000
	kill -9 "$(net_pid)"
	within 10 not net_runs
	start_net
	ask "$(reattach_line 1 p1 port=8080:7000 port=8080:7000/udp)"
	locally 8080
	ask "detach $(uid 1)"
	run -0 host sh -c 'ss -Hlntu "sport = 8080"'
	[ -z "$output" ]
}

@test "a connection of the host that stands goes on while other ports change, and ends with the pod" {
	start_net
	attach 1 p1 port=8080:7000
	background p1 socat TCP4-LISTEN:7000,fork,reuseaddr EXEC:cat
	within 10 inside p1 sh -c 'ss -Hlnt "sport = 7000" | grep -q .'
	mkfifo "$T/to"
	# shellcheck disable=SC2016 # the inner shell expands
	background host sh -c 'exec socat -t 1 - TCP4:127.0.0.1:8080 <"$0/to" >"$0/from" 2>/dev/null' "$T"
	local client=${pids[-1]}
	exec 8>"$T/to"
	echo one >&8
	within 10 grep -q one "$T/from"
	ask "ports $(uid 1) 8080:7000 8081:7000"
	ask "ports $(uid 1) 8080:7000"
	echo two >&8
	within 10 grep -q two "$T/from"
	ask "detach $(uid 1)"
	within 10 not kill -0 $client
	exec 8>&-
}

# flow FROM ADDRESS PORT: UDP from one and the same port each time
flow() { inside "$1" socat -t 1 - "UDP:$2:$3,sourceport=4444" <<<x; }
flows_to() { [ "$(flow world "$2" "$3")" = "$1" ]; }
@test "a UDP port that goes to another pod takes those along who go on sending" {
	start_net
	attach 1 p1 port=8080:7000/udp port=8082:7000/udp port=9000-9019:7000-7019/udp
	attach 2 p2
	for i in 1 2; do
		background p$i socat UDP4-RECVFROM:7000,fork "SYSTEM:read x; echo p$i"
		background p$i socat "UDP6-RECVFROM:7000,ipv6only=1,fork" "SYSTEM:read x; echo p$i"
	done
	for i in 1 2; do within 10 inside p$i sh -c 'ss -Hlnu6 "sport = 7000" | grep -q .'; done
	for port in 8080 8082 9000; do
		[ "$(flow world 192.0.2.1 $port)" = p1 ]
		[ "$(flow world "[2001:db8::1]" $port)" = p1 ]
	done
	# a flow of another's translation, to a port of the same number, is left alone
	host nft -f - <<-'END'
		table ip other { chain pre { type nat hook prerouting priority -105; ip daddr 192.0.2.77 udp dport 8080 dnat to 192.0.2.2:7777; }; }
	END
	host ip addr add 192.0.2.77/32 dev lo
	inside p2 socat -u - UDP:192.0.2.77:8080,sourceport=5555 <<<x
	tracked() { host grep -c "$1" /proc/net/nf_conntrack; }
	[ "$(tracked 'dport=8080.*src=192.0.2.2')" -eq 1 ]
	ask "ports $(uid 1) 8082:7000/udp" "ports $(uid 2) 8080:7000/udp 9000-9019:7000-7019/udp"
	for port in 8080 9000; do
		within 5 flows_to p2 192.0.2.1 $port
		[ "$(flow world "[2001:db8::1]" $port)" = p2 ]
	done
	[ "$(tracked 'dport=8080.*src=192.0.2.2')" -eq 1 ]
	[ "$(flow world 192.0.2.1 8082)" = p1 ]
	# the pod goes, and a program of the host gets the port
	ask "leave $(uid 2)"
	background host socat UDP4-RECVFROM:8080,fork "SYSTEM:read x; echo host"
	within 10 host sh -c 'ss -Hlnu "sport = 8080" | grep -q .'
	within 5 flows_to host 192.0.2.1 8080
	within 5 eval '[ "$(tracked "dport=9000.*src=10.213")" -eq 0 ]'
}
