# Networks of CNI plugins: Debian's own, and some that misbehave.
# plain
# long

load lib
load net

setup() {
	new_instance
	with_outside
	mkdir "$T/net.d" "$T/bin" "$T/leases"
	chain blue 10.97.0.0/24 fd97::/64 1.0.0
	mount_cni
}
mount_cni() { mount_podfs "cni_conf=$T/net.d,cni_bin=$T/bin:/usr/lib/cni"; }

# chain NAME SUBNET4 SUBNET6 VERSION: as a node of a cluster has it
chain() {
	cat >"$T/net.d/10-$1.conflist" <<-END
		{"cniVersion": "$4", "name": "$1", "plugins": [
		  {"type": "bridge", "bridge": "cni-$1", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "$T/leases",
		   "ranges": [[{"subnet": "$2"}], [{"subnet": "$3"}]], "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
		  {"type": "firewall"}]}
	END
}
# plugin NAME LINES: a script, in $T; $CNI_COMMAND is ADD, DEL or VERSION. network NAME PLUGIN: of it alone
plugin() {
	printf '#!/bin/sh\ncd %s\n%s\n' "$T" "$2" >"$T/bin/$1"
	chmod 755 "$T/bin/$1"
}
network() { echo "{\"cniVersion\":\"1.0.0\",\"name\":\"$1\",\"plugins\":[{\"type\":\"$2\"}]}" >"$T/net.d/50-$1.conflist"; }
fine='{\"cniVersion\":\"1.0.0\",\"ips\":[]}'

# What the chain of a pod leaves: its bridge and empty chains are the plugins' own, and stay.
traces() {
	host ip -o link | grep -E 'veth.*master cni-'
	host iptables-save 2>/dev/null | grep -E '10\.9[78]\.0\.[0-9]+[/: ]|8080'
	host ip6tables-save 2>/dev/null | grep -E 'fd9[78]::[0-9a-f]+[]/ ]|8080'
	find "$T/leases" -name '10.9*' -o -name 'fd9*'
	find "$T/state/cni" -type f 2>/dev/null
	true
}
no_traces() { [ -z "$(traces)" ] || { traces; return 1; }; }
teardown() {
	if mounted; then
		remove_all_pods
		within 10 no_traces
		host sh -c 'for l in $(ip -o link show type bridge | grep -o "cni-[a-z]*"); do ip link del $l; done; nft flush ruleset
			for i in iptables-legacy ip6tables-legacy; do for t in nat filter; do $i -t $t -F; $i -t $t -X; done; done' 2>/dev/null
	fi
	end_case
}

a_life() { # NETWORK FIRST-OF-IPV4
	web web "cni:$1"
	is "cni:$1" "$P/web/network"
	[[ $(ip4 web) == "$2".* ]]
	[ "$(wc -l <"$P/web/ip")" -eq 2 ]
	inside web ip -o addr show dev eth0 | grep -qF "inet $(ip4 web)/24"
	page host "$(ip4 web)" 80 web
	# the plugin's bridge looks for doubles of its address first
	within 10 page host "$(ip6 web)" 80 web
	[ "$(in_container web 'wget -qO- http://127.0.0.1/')" = 'page of web' ]
	mkdir "$P/probe"
	echo "cni:$1" >"$P/probe/network"
	inside probe ping -qc 1 -W 5 "$(ip4 web)"
	inside probe ping -qc 1 -W 5 $OUT4
	[ -n "$(traces)" ]
	rmdir "$P/web" "$P/probe"
	within 10 none_leaving
	within 10 no_traces
}

@test "conflist 1.0.0: bridge, host-local, portmap, firewall" { a_life blue 10.97.0; }
@test "conflist 0.4.0" {
	chain red 10.98.0.0/24 fd98::/64 0.4.0
	a_life red 10.98.0
}

@test "ports through portMappings" {
	mkdir "$P/web"
	echo 8080:80 >"$P/web/ports"
	echo cni:blue >"$P/web/network"
	import busybox
	echo 0 >"$P/web/grace"
	serves web
	echo busybox >"$P/web/image"
	within 10 page host "$(ip4 web)" 80 web
	within 5 page outside $HOST4 8080 web
	page host $HOST4 8080 web
	# they are ADD's: not changed under way
	refused 'busy' "$P/web/ports" 8081:80
	is 8080:80/tcp "$P/web/ports"
	refused 'busy' "$P/web/net.egress" 10M
	rmdir "$P/web"
	within 10 none_leaving
	closed outside 8080 $HOST4
}

@test "it survives the server, podfs-net, the mount; podfs-pod's end is DEL and ADD" {
	web web cni:blue
	cp "$P/web/ip" "$T/ip"
	kill -9 "$(server_pid)"
	within 10 page host "$(ip4 web)" 80 web
	kill -9 "$(net_pid)"
	within 10 net_runs
	unmount_podfs
	mount_cni
	cmp "$T/ip" "$P/web/ip"
	page host "$(ip4 web)" 80 web
	within 10 page host "$(ip6 web)" 80 web
	[ "$(find "$T/leases" -name '10.97.0.*' | wc -l)" -eq 1 ]
	kill -9 "$(pod_pid web)"
	within 5 grep -qx Failed "$P/web/status"
	echo start >"$P/web/ctl"
	within 20 page web 127.0.0.1 80 web
	within 20 page host "$(ip4 web)" 80 web
	within 10 one_lease
}
one_lease() { [ "$(find "$T/leases" -name '10.97.0.*' | wc -l)" -eq 1 ]; }

@test "a chain takes its time: others are not delayed, the name is free at once" {
	plugin slow '[ "$CNI_COMMAND" != ADD ] || { echo $$ >adding; read x <pipe; }; [ "$CNI_COMMAND" != DEL ] || { echo $$ >deleting; read x <pipe; }
		echo "'"$fine"'"'
	network slow slow
	mkfifo "$T/pipe"
	mkdir "$P/web" "$P/other"
	timeout 30 bash -c "echo cni:slow >'$P/web/network'" &
	local writer=$!
	within 10 test -s "$T/adding"
	timeout 2 ls -l "$P" "$P/web" >/dev/null
	timeout 2 cat "$P/web/network" "$P/web/ip" "$P/web/describe" >/dev/null
	timeout 2 bash -c "echo 8 >'$P/other/grace'; echo 8 >'$P/web/grace'; echo a=b >'$P/other/labels'; echo 8080:80 >'$P/other/ports'"
	timeout 2 mkdir "$P/third"
	reaches third
	echo >"$T/pipe"
	wait_for $writer
	is cni:slow "$P/web/network"
	timeout 2 rmdir "$P/web"
	within 10 test -s "$T/deleting"
	timeout 2 mkdir "$P/web"
	is bridge "$P/web/network"
	reaches web
	echo >"$T/pipe"
	within 10 none_leaving
}

# The time of a chain is 30 s (CNI_DEADLINE_S), and 30 s more for taking it back.
@test "a plugin that hangs: the write is refused in time, nothing is left" {
	plugin hangs '[ "$CNI_COMMAND" = DEL ] && { echo DEL >>log; exit 0; }; echo $$ >>pids; sleep 1000'
	network stuck hangs
	mkdir "$P/web" "$P/other"
	cp "$P/web/ip" "$T/ip"
	(fails 'timed out' timeout 50 bash -c "echo cni:stuck >'$P/web/network'") &
	local writer=$! i
	within 10 test -s "$T/pids"
	for i in 1 2 3 4 5; do
		timeout 2 ls "$P" >/dev/null
		timeout 2 bash -c "echo $i >'$P/other/grace'"
	done
	wait_for $writer
	said 'hangs' "$P/web/error"
	is bridge "$P/web/network"
	cmp "$T/ip" "$P/web/ip"
	reaches web
	grep -qx DEL "$T/log"
	for i in $(cat "$T/pids"); do ended_or_zombie "$i"; done
	is '' "$P/.node/leaks"
}

@test "who writes is killed while a plugin runs" {
	plugin hangs '[ "$CNI_COMMAND" = DEL ] && { echo DEL >>log; exit 0; }; echo $$ >>pids; sleep 1000'
	network stuck hangs
	mkdir "$P/web"
	timeout 50 bash -c "echo cni:stuck >'$P/web/network'" &
	local writer=$!
	within 10 test -s "$T/pids"
	kill -9 $writer
	timeout 5 rmdir "$P/web"
	within 10 none_leaving
	within 10 test -s "$T/log"
	for i in $(cat "$T/pids"); do within 5 ended_or_zombie "$i"; done
}

@test "what a plugin says wrong is refused in words" {
	local add='[ "$CNI_COMMAND" = ADD ] || exit 0'
	plugin rubbish "$add"'; echo rubbish'
	plugin liar "$add"'; echo "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"999.1.1.1/24\"}]}"'
	plugin sorry "$add"'; echo "{\"cniVersion\":\"1.0.0\",\"code\":100,\"msg\":\"no room at the inn\",\"details\":\"all taken\"}"; exit 1'
	plugin silent "$add"'; exit 3'
	plugin endless "$add"'; exec yes'
	local p
	for p in rubbish liar sorry silent endless; do network of-$p $p; done
	network of-nobody nobody-has-this
	echo '{"cniVersion": "1.0.0", "name": "broken", "plugins": [' >"$T/net.d/60-broken.conflist"
	mkdir "$P/web"
	cp "$P/web/ip" "$T/ip"
	while IFS='|' read -r name words; do
		run timeout 30 bash -c "echo cni:$name >'$P/web/network'"
		[ "$status" -eq 1 ] || { echo "$name: $status $output"; return 1; }
		said "$words" "$P/web/error"
		is bridge "$P/web/network"
		cmp "$T/ip" "$P/web/ip"
	done <<-END
		of-rubbish|rubbish.*JSON
		of-liar|999\.1\.1\.1
		of-sorry|no room at the inn
		of-silent|silent.*3
		of-endless|endless
		of-nobody|nobody-has-this
		broken|broken
		nowhere|no CNI network nowhere
	END
	reaches web
	is '' "$P/.node/leaks"
}

@test "the second plugin fails: the first is taken back" {
	plugin sorry '[ "$CNI_COMMAND" != ADD ] || { echo "{\"cniVersion\":\"1.0.0\",\"code\":100,\"msg\":\"no\"}"; exit 1; }'
	jq '.name = "half" | .plugins += [{"type": "sorry"}]' "$T/net.d/10-blue.conflist" >"$T/net.d/20-half.conflist"
	mkdir "$P/web"
	cp "$P/web/ip" "$T/ip"
	run ! timeout 30 bash -c "echo cni:half >'$P/web/network'"
	no_traces
	cmp "$T/ip" "$P/web/ip"
	reaches web
}

@test "DEL fails: the name is free, it is a leak until it holds, over restarts too" {
	plugin stays '[ "$CNI_COMMAND" = DEL ] && [ ! -e free ] && { echo "still used" >&2; exit 1; }; echo "'"$fine"'"'
	network red stays
	mkdir "$P/web"
	echo cni:red >"$P/web/network"
	timeout 5 rmdir "$P/web"
	timeout 5 mkdir "$P/web"
	within 10 has 'stays.*red|red.*stays' "$P/.node/leaks"
	has 'still used' "$P/.node/leaks"
	within 10 none_leaving
	reaches web
	kill -9 "$(net_pid)"
	within 10 has 'still used' "$P/.node/leaks"
	unmount_podfs
	mount_cni
	within 10 has 'still used' "$P/.node/leaks"
	touch "$T/free"
	within 20 no_leaks_listed
	reaches web
}

@test "users may, as the administrator's configuration says which there are" {
	unmount_podfs
	chmod 755 "$T"
	mount_podfs "users=nobody,cni_conf=$T/net.d,cni_bin=$T/bin:/usr/lib/cni"
	as_nobody mkdir "$P/mine"
	as_nobody bash -c "echo cni:blue >'$P/mine/network'"
	[[ $(ip4 mine) == 10.97.0.* ]]
}

@test "as the config's default: mkdir does not wait, and says what it lacks" {
	unmount_podfs
	mount_podfs "network=cni:blue,cni_conf=$T/net.d,cni_bin=$T/bin:/usr/lib/cni"
	mkdir "$P/web"
	within 10 has_ip
	is cni:blue "$P/web/network"
	page_of_new
	mv "$T/net.d/10-blue.conflist" "$T/"
	mkdir "$P/other"
	within 5 why_names
	echo bridge >"$P/other/network"
	reaches other
}
has_ip() { [[ $(ip4 web) == 10.97.0.* ]]; }
page_of_new() { host ping -qc 1 -W 5 "$(ip4 web)"; }
why_names() { grep -q blue "$P/other/why" || grep -q blue "$P/other/events"; }
