# A pod's network over restarts: address, name and published port are the same, whatever dies.

load lib
load net

setup() {
	new_instance
	with_outside
	mount_podfs
	web web
	echo 8080:80 >"$P/web/ports"
	run_pod probe "$forever"
	cp "$P/web/ip" "$T/ip"
	as_before
}
# The same address, reached as before.
as_before() {
	cmp "$T/ip" "$P/web/ip"
	is 8080:80/tcp "$P/web/ports"
	pages probe 80 web "$(ip4 web)" "$(ip6 web)"
	pages host 8080 web 127.0.0.1 ::1 $HOST4
	pages outside 8080 web $HOST4 $HOST6
	in_container probe 'wget -qO- http://web/' | grep -qx 'page of web'
}

@test "the container is restarted" {
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	echo restart >"$P/web/ctl"
	within 10 another_pid "$pid"
	within 10 page probe "$(ip4 web)" 80 web
	as_before
}
another_pid() { local p; p=$(cat "$P/web/containers/web/pid") && [ -n "$p" ] && [ "$p" != "$1" ]; }

@test "kill -9 of the server" {
	local server
	server=$(server_pid)
	pages outside 8080 web $HOST4
	kill -9 "$server"
	gone "$server"
	# nobody is needed for what the kernel does
	pages outside 8080 web $HOST4 $HOST6
	pages host 8080 web 127.0.0.1
	within 10 served
	as_before
}
served() { timeout 5 cat "$P/web/status" >/dev/null 2>&1; }

@test "kill -9 of keeper and server" {
	kill -9 "$(keeper_pid)" "$(server_pid)"
	within 10 dead
	pages outside 8080 web $HOST4 $HOST6
	mount_podfs 2>/dev/null
	as_before
}
dead() { stat "$P" 2>&1 | grep -q 'not connected'; }

@test "kill -9 of podfs-net" {
	local net
	net=$(net_pid)
	kill -9 "$net"
	gone "$net"
	pages outside 8080 web $HOST4 $HOST6
	pages probe 80 web "$(ip4 web)" "$(ip6 web)"
	within 10 page host 127.0.0.1 8080 web
	within 10 name_is_found
	as_before
	has 'podfs-net' "$P/.node/events"
	# and it is whole: what comes after works
	mkdir "$P/new"
	reaches new
	echo 8081:80 >>"$P/web/ports"
	pages outside 8081 web $HOST4
	echo 8080:80 >"$P/web/ports"
}
name_is_found() { in_container probe 'wget -qO- http://web/' 2>/dev/null | grep -qx 'page of web'; }

@test "umount and mount" {
	unmount_podfs
	pages outside 8080 web $HOST4 $HOST6
	pages host 8080 web 127.0.0.1 ::1
	mount_podfs
	as_before
	mkdir "$P/new"
	[ "$(cat "$P"/*/ip | sort | uniq -d)" = '' ]
}

@test "umount, kill -9 of podfs-net, mount" {
	unmount_podfs
	kill -9 "$(net_pid)"
	pages outside 8080 web $HOST4 $HOST6
	mount_podfs
	within 10 name_is_found
	as_before
}

@test "podfs-pod is killed, and the pod started again" {
	kill -9 "$(pod_pid web)"
	within 5 grep -qx Failed "$P/web/status"
	echo start >"$P/web/ctl"
	within 10 page probe "$(ip4 web)" 80 web
	as_before
}

@test "everything is killed at once, as by a reboot" {
	kill -9 "$(keeper_pid)" "$(server_pid)" "$(net_pid)" $(pgrep -f "podfs-pod .*$T/")
	within 10 dead
	mount_podfs 2>/dev/null
	cmp "$T/ip" "$P/web/ip"
	for p in web probe; do echo start >"$P/$p/ctl"; done
	within 10 page probe "$(ip4 web)" 80 web
	within 10 name_is_found
	as_before
}
