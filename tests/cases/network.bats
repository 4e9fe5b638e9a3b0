# A pod's network: its addresses, who reaches whom, its modes, what stays and what goes.

load lib
load net

@test "an address of each family; what shows them" {
	web web
	local four six
	four=$(ip4 web) six=$(ip6 web)
	[ "$(wc -l <"$P/web/ip")" -eq 2 ]
	[[ $four == *.*.*.* ]]
	[[ $six == f[cd]*:*:* ]]
	inside web ip -o addr show dev eth0 | grep -qF "inet $four/"
	inside web ip -o addr show dev eth0 | grep -qF "inet6 $six/"
	[ "$(inside web ip -o link | wc -l)" -eq 2 ]
	has "^web +1/1 +Running .* $four(,[^ ]*)? +web +busybox +root" "$P/.node/wide"
	has "$four" "$P/web/describe"
	has "$six" "$P/web/describe"
	has "^  podIP: \"?$four\"?$" "$P/web/pod.yaml"
	has "ip: \"?$six\"?$" "$P/web/pod.yaml"
	[ "$(in_container web "ip -4 -o addr show dev eth0 | sed 's/.*inet \([^/]*\).*/\1/'")" = "$four" ]
	is bridge "$P/web/network"
}

@test "nginx in one pod, wget in another: IPv4, IPv6, by address and by name; and the host" {
	import nginx
	mkdir "$P/web"
	echo "sh -c 'sed -i \"s/listen 80 default_server;/listen 80; listen [::]:80;/\" /etc/nginx/sites-available/default; exec nginx -g \"daemon off;\"'" \
		>"$P/web/command"
	echo nginx >"$P/web/image"
	run_pod probe "$forever"
	local to
	within 20 host curl -so /dev/null "http://$(ip4 web)/"
	for to in "$(ip4 web)" "[$(ip6 web)]" web; do
		in_container probe "wget -qO- http://$to/" | grep -q 'from the third layer' || { echo "$to"; return 1; }
	done
	host curl -sgm 5 "http://[$(ip6 web)]/" | grep -q 'from the third layer'
	within 5 has "^$(ip4 probe) .* \"GET / HTTP/1.1\" 200" "$P/web/logs/web"
	has "^$(ip6 probe) .* \"GET / HTTP/1.1\" 200" "$P/web/logs/web"
}

@test "pods meet the host, the host meets pods; what leaves carries the host's address" {
	with_outside
	run_pod a "$forever"
	run_pod b "$forever"
	seer host 7000
	seer outside 7000
	seer b 7000
	[ "$(seen a "$(ip4 b)" 7000)" = "$(ip4 a)" ]
	[ "$(seen a "$(ip6 b)" 7000)" = "$(ip6 a)" ]
	[ "$(seen a "$(gateway4 a)" 7000)" = "$(ip4 a)" ]
	[ "$(seen a $HOST4 7000)" = "$(ip4 a)" ]
	[ "$(seen a $HOST6 7000)" = "$(ip6 a)" ]
	[ "$(seen host "$(ip4 b)" 7000)" = "$(gateway4 b)" ]
	[ "$(seen host "$(ip6 b)" 7000)" = "$(gateway6 b)" ]
	[ "$(seen a $OUT4 7000)" = $HOST4 ]
	[ "$(seen a $OUT6 7000)" = $HOST6 ]
	# nobody outside gets to a pod that publishes nothing
	outside ip route add "$(ip4 b)" via $HOST4
	within 5 reaches b
}

@test "network none: lo and nothing else" {
	mkdir "$P/web"
	echo none >"$P/web/network"
	import busybox
	echo "$forever" >"$P/web/command"
	echo busybox >"$P/web/image"
	[ "$(inside web ip -o link | wc -l)" -eq 1 ]
	inside web ping -qc 1 -W 5 127.0.0.1
	[ "$(in_container web 'ls /sys/class/net')" = lo ]
	is none "$P/web/network"
	is '' "$P/web/ip"
	refused 'Invalid argument' "$P/web/ports" 8080:80
	said 'network is none' "$P/web/error"
	refused 'Invalid argument' "$P/web/net.ingress" 1M
	is '' "$P/web/ports"
	within 10 only_lo
}

@test "network host: the host's own, its addresses, and no ports" {
	with_outside
	web web host
	[ "$(inside web readlink /proc/self/ns/net)" = "$(host readlink /proc/self/ns/net)" ]
	pages outside 80 web $HOST4 $HOST6
	has "^$HOST4$" "$P/web/ip"
	refused 'Invalid argument' "$P/web/ports" 8080:80
	said 'network is host' "$P/web/error"
	# its sysctls are not a container's to write
	run ! in_container web 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	host ip link show up0
	rmdir "$P/web"
	within 10 none_leaving
	host ip link show up0
}

@test "network host is root's" {
	unmount_podfs
	mount_podfs users=nobody
	chmod 755 "$T"
	as_nobody mkdir "$P/mine"
	fails 'ermi' as_nobody bash -c "echo host >'$P/mine/network'"
	said 'root' "$P/mine/error"
	is bridge "$P/mine/network"
	as_nobody bash -c "echo none >'$P/mine/network'"
	is none "$P/mine/network"
}

@test "another network, until the first container has run" {
	mkdir "$P/web"
	local four
	four=$(ip4 web)
	reaches web
	for mode in none host bridge; do
		echo $mode >"$P/web/network"
		is $mode "$P/web/network"
		case $mode in
		none) is '' "$P/web/ip"; [ "$(inside web ip -o link | wc -l)" -eq 1 ] ;;
		host) [ "$(inside web readlink /proc/self/ns/net)" = "$(host readlink /proc/self/ns/net)" ] ;;
		bridge) reaches web ;;
		esac
	done
	import busybox
	echo "$forever" >"$P/web/command"
	echo busybox >"$P/web/image"
	four=$(ip4 web)
	refused 'busy' "$P/web/network" none
	said 'container' "$P/web/error"
	# what it is already may be said
	echo bridge >"$P/web/network"
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	refused 'busy' "$P/web/network" host
	is bridge "$P/web/network"
	[ "$(ip4 web)" = "$four" ]
	reaches web
}

@test "what is no network is refused, and nothing has changed" {
	mkdir "$P/web"
	local before
	before=$(cat "$P/web/ip")
	for value in wlan 'bridge none' cni: cni:../x 'cni:a b' BRIDGE; do
		refused 'nvalid argument' "$P/web/network" "$value"
		said "network" "$P/web/error"
	done
	refused 'No such file' "$P/web/network" cni:nothere
	said 'nothere' "$P/web/error"
	is bridge "$P/web/network"
	is "$before" "$P/web/ip"
	reaches web
	echo 8080:80 >"$P/web/ports"
	refused 'nvalid argument' "$P/web/network" none
	said 'ports' "$P/web/error"
	is 8080:80/tcp "$P/web/ports"
}

@test "the last pod takes bridge, table and names with it; the next one brings them" {
	local i
	for i in 1 2; do
		mkdir "$P/a" "$P/b"
		reaches a
		[ "$(links | wc -l)" -eq 3 ]
		[ -n "$(host nft list tables)" ]
		rmdir "$P/a"
		within 10 two_links
		reaches b
		rmdir "$P/b"
		within 10 only_lo
		[ -z "$(host nft list ruleset)" ]
		[ -z "$(host ss -Hlntu)" ]
	done
}
two_links() { [ "$(links | wc -l)" -eq 2 ]; }
only_lo() { [ -z "$(links)" ] && [ -z "$(host nft list tables)" ]; }

@test "pods made in parallel all have an address of their own; a removed one's serves again" {
	local i pids=()
	for i in $(seq 50); do
		mkdir "$P/p$i" &
		pids+=($!)
	done
	wait_for "${pids[@]}"
	[ "$(cat "$P"/p*/ip | sort -u | wc -l)" -eq 100 ]
	for i in 1 17 50; do reaches "p$i"; done
	inside p1 ping -qc 1 -W 5 "$(ip4 p50)"
	inside p50 ping -qc 1 -W 5 "$(ip6 p1)"
	rmdir "$P"/p*
	within 20 none_leaving
	within 10 only_lo
}

@test "a small subnet: full is said, and a place is free again after rmdir" {
	unmount_podfs
	mount_podfs subnet4=10.99.7.0/29,subnet6=none
	local i n=0
	for i in 1 2 3 4 5 6 7; do mkdir "$P/p$i" 2>"$T/said" || break; n=$i; done
	[ $n -ge 4 ] && [ $n -le 6 ]
	grep -q 'No space left' "$T/said"
	said 'subnet' "$P/.node/error"
	[ ! -e "$P/p$((n + 1))" ]
	[ "$(cat "$P"/p*/ip | sort -u | wc -l)" -eq $n ]
	cat "$P"/p*/ip | grep -vE '^10\.99\.7\.[2-6]$' && return 1
	local four
	four=$(ip4 p2)
	rmdir "$P/p2"
	within 10 none_leaving
	mkdir "$P/again"
	is "$four" "$P/again/ip"
	inside p1 ping -qc 1 -W 5 "$four"
	# many more than there are addresses, one after another
	for i in $(seq 12); do
		rmdir "$P/again"
		within 10 none_leaving
		mkdir "$P/again"
	done
}

@test "a subnet that the host uses is refused in words; it is looked at again" {
	unmount_podfs
	with_outside
	mount_podfs subnet4=10.99.7.0/24
	local route
	for route in '10.99.7.128/25 dev up0' '10.96.0.0/12 dev up0' 'unreachable 10.99.7.128/25'; do
		host ip route add $route
		run -1 mkdir "$P/web"
		[ ! -e "$P/web" ]
		said "10.99.7.0/24 .*10.9[69].[07]" "$P/.node/error"
		[ "$(ls "$P")" = '' ]
		host ip route del $route
	done
	mkdir "$P/web"
	[[ $(ip4 web) == 10.99.7.* ]]
	reaches web
}

@test "config: what is no subnet, network or link is said at the start, with file and line" {
	unmount_podfs
	local pair
	for pair in 'subnet4 = 10.99.7.0' 'subnet4 = 10.99.7.0/31' 'subnet4 = 10.99.7.1/24' 'subnet4 = fd00:1::/64' 'subnet4 = 127.0.0.0/8' \
		'subnet6 = 10.99.7.0/24' 'subnet6 = fe80::/64' 'network = wlan' 'network = cni:' 'bridge = a/b' 'bridge = averyveryverylongname' \
		'cni_conf = relative' 'cni_bin = /x:relative'; do
		printf '[node]\n%s\n' "$pair" >"$T/bad.conf"
		run timeout 30 "$podfs" -o "$(options "config=$T/bad.conf")" "$P"
		[ "$status" -ne 0 ]
		[[ $output == *"$T/bad.conf:2:"*"${pair%% *}"* ]] || { echo "$pair: $output"; return 1; }
		[ "${#lines[@]}" -eq 1 ]
	done
	printf '[node]\nnetwork = none\nbridge = podsbr\nsubnet4 = 10.99.0.0/22\nsubnet6 = fd99::/64\n' >"$T/podfs.conf"
	timeout 30 "$podfs" -o "$(options "config=$T/podfs.conf")" "$P"
	has '^network *= *none$' "$P/.node/config"
	mkdir "$P/web" "$P/other"
	is none "$P/web/network"
	echo bridge >"$P/web/network"
	[[ $(ip4 web) == 10.99.[0-3].* ]]
	[[ $(ip6 web) == fd99::* ]]
	links | grep -qx podsbr
	# the config's word is for pods that say nothing
	unmount_podfs
	mount_podfs network=host
	is none "$P/other/network"
	is bridge "$P/web/network"
}

@test "two instances side by side have different subnets and do not meet" {
	mkdir "$T/p2"
	timeout 30 "$podfs" -o "state=$T/s2,run=$T/r2,cgroup=$CG-2" "$T/p2"
	mkdir "$P/web" "$T/p2/web"
	reaches web
	local other
	other=$(sed -n 1p "$T/p2/web/ip")
	host ping -qc 1 -W 5 "$other"
	[ "${other%.*}" != "$(ip4 web | sed 's/\.[0-9]*$//')" ]
	[ "$(host ip -o link show type bridge | wc -l)" -eq 2 ]
	echo 8080:80 >"$P/web/ports"
	refused 'in use' "$T/p2/web/ports" 8080:80
	echo 8081:80 >"$T/p2/web/ports"
	[ "$(nsenter --net="$T/p2/web/ns/net" busybox nslookup web "$(nsenter --net="$T/p2/web/ns/net" ip route show default | sed 's/.*via \([^ ]*\).*/\1/')" |
		grep -c "$other")" -ge 1 ]
	rmdir "$P/web"
	within 10 one_bridge
	host ping -qc 1 -W 5 "$other"
	rmdir "$T/p2/web"
	within 10 second_left
	umount "$T/p2"
}
one_bridge() { [ "$(host ip -o link show type bridge | wc -l)" -eq 1 ]; }
second_left() { [ -z "$(cat "$T/p2/.node/leaving")" ]; }
