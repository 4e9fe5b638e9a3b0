# The host's own firewall: left as it is, byte for byte; what is in the way is named, what others break is repaired.
# plain

load lib
load net

setup() {
	new_instance
	with_outside
	mount_podfs
}
event() { grep -qE -- "$1" "$P/.node/events" || grep -qsE -- "$1" "$P"/*/events; }

own_nft() {
	host nft -f - <<-'EOF'
		table inet filter {
			set seen { type ipv4_addr; elements = { 198.51.100.1, 198.51.100.2 } }
			chain input { type filter hook input priority filter; policy accept; ip saddr @seen counter drop; tcp dport 22 accept; }
			chain forward { type filter hook forward priority filter; policy accept; ip daddr 198.51.100.0/24 drop; }
			chain output { type filter hook output priority filter; policy accept; }
		}
		table ip nat {
			chain pre { type nat hook prerouting priority dstnat; tcp dport 2222 dnat to 198.51.100.3:22; }
			chain post { type nat hook postrouting priority srcnat; oifname "up0" ip saddr 172.30.0.0/16 masquerade; }
		}
		table bridge b { chain f { type filter hook forward priority 0; policy accept; }; }
	EOF
}
own_legacy() {
	host iptables-legacy -A INPUT -s 198.51.100.9 -j DROP
	host iptables-legacy -N MINE
	host iptables-legacy -A FORWARD -j MINE
	host iptables-legacy -t nat -A POSTROUTING -s 172.29.0.0/16 -j MASQUERADE
	host iptables-legacy -t nat -A PREROUTING -p tcp --dport 2223 -j DNAT --to 198.51.100.3:22
	host ip6tables-legacy -A FORWARD -s 2001:db8:9::/48 -j ACCEPT
}
# Everything but the pods' own tables; of legacy rules without the counters of chains and the date.
rules() {
	host nft list ruleset | awk '
		/^table (inet|bridge) podfs/ { skip = 1 } !skip { print } skip && /^}/ { skip = 0 }'
	host iptables-legacy-save | grep -v '^#' | sed 's/ \[.*//'
	host ip6tables-legacy-save | grep -v '^#' | sed 's/ \[.*//'
}

a_life() { # what may touch rules
	web web
	run_pod probe "$forever"
	echo 8080:80 >"$P/web/ports"
	pages outside 8080 web $HOST4 $HOST6
	rules | cmp - "$T/rules"
	pages probe 8080 web $HOST4 $HOST6
	pages host 8080 web 127.0.0.1
	echo 10M >"$P/web/net.egress"
	: >"$P/web/ports"
	rules | cmp - "$T/rules"
	kill -9 "$(net_pid)"
	within 10 net_runs
	echo 8080:80 >"$P/web/ports"
	pages outside 8080 web $HOST4
	rules | cmp - "$T/rules"
	rmdir "$P/web" "$P/probe"
	within 10 none_leaving
	within 10 as_it_was
	rules | cmp - "$T/rules"
}
as_it_was() { host_now | cmp -s - "$T/host.before"; }

@test "a host with its own nftables ruleset" {
	own_nft
	host_now >"$T/host.before"
	rules >"$T/rules"
	[ "$(wc -l <"$T/rules")" -gt 20 ]
	a_life
}

@test "a host with iptables-legacy rules" {
	own_legacy
	host_now >"$T/host.before"
	rules >"$T/rules"
	[ "$(grep -c '^-A' "$T/rules")" -eq 5 ]
	a_life
}

@test "both at once, and none is made where there was none" {
	mkdir "$P/web"
	echo 8080:80 >"$P/web/ports"
	[ -z "$(host cat /proc/self/net/ip_tables_names)" ]
	[ -z "$(host cat /proc/self/net/ip6_tables_names)" ]
	run ! grep -v podfs <(host nft list tables)
	rmdir "$P/web"
	within 10 as_it_was
	own_nft
	own_legacy
	host_now >"$T/host.before"
	rules >"$T/rules"
	a_life
}

@test "a forward chain that drops is named" {
	host nft add table inet fw
	host nft add chain inet fw forward '{ type filter hook forward priority 0; policy drop; }'
	host iptables-legacy -P FORWARD DROP
	host_now >"$T/host.before"
	mkdir "$P/web"
	within 5 event 'firewall.*chain forward of table inet fw'
	event 'FORWARD of iptables'
	# and left
	host nft list chain inet fw forward | grep -q 'policy drop'
	not inside web ping -qc 1 -W 1 $OUT4
	inside web ping -qc 1 -W 5 "$(gateway4 web)"
}

@test "somebody flushes the ruleset: it is there again, with what is published, and an event says so" {
	web web
	echo 8080:80 >"$P/web/ports"
	pages outside 8080 web $HOST4 $HOST6
	host nft flush ruleset
	within 5 event 'nftables table was removed'
	within 5 page outside $HOST4 8080 web
	pages outside 8080 web $HOST4 $HOST6
	inside web ping -qc 1 -W 5 $OUT4
}

@test "somebody deletes the bridge, takes it down: it is there again, and an event says so" {
	web web
	run_pod probe "$forever"
	echo 8080:80 >"$P/web/ports"
	local bridge
	bridge=$(host ip -o link show type bridge | sed 's/^[0-9]*: \([^:]*\):.*/\1/')
	host ip link del "$bridge"
	within 5 event 'bridge was removed'
	within 5 page probe "$(ip4 web)" 80 web
	pages probe 80 web "$(ip4 web)" "$(ip6 web)"
	pages outside 8080 web $HOST4 $HOST6
	host ip link set "$bridge" down
	within 5 page probe "$(ip6 web)" 80 web
	within 5 page outside $HOST6 8080 web
	inside probe ping -qc 1 -W 5 $OUT4
	is '' "$P/.node/leaks"
}

@test "somebody deletes a pod's link: the pod says so, and has it again after a start of either side" {
	web web
	local link
	link=$(links | grep -v "$(host ip -o link show type bridge | sed 's/^[0-9]*: \([^:]*\):.*/\1/')" | head -n 1)
	host ip link del "$link"
	kill -9 "$(net_pid)"
	within 10 page host "$(ip4 web)" 80 web
	within 5 event 'network of pod web was missing'
	reaches web
}
