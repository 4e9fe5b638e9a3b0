# Which pod is which, whatever becomes of files and sockets behind podfs: what was removed stays so, and no pod runs twice.
# plain

load lib

uid_of() { tr "\0" "\n" <"/proc/$(pod_pid "$1")/cmdline" | sed -n 2p; }

@test "a pod that was removed while its podfs-pod did not answer does not come back" {
	run_pod k1 "$forever"
	timeout 20 cat "$P/k1/wait/running"
	echo 1 >"$P/k1/grace"
	local pp
	pp=$(pod_pid k1)
	kill -STOP "$pp"
	kill_server
	rmdir "$P/k1"
	kill_server
	[ ! -e "$P/k1" ]
	has '^k1 ' "$P/.node/leaving"
	kill -CONT "$pp"
	within 10 none_leaving
	[ ! -e "$P/k1" ]
	gone "$pp"
}

@test "a removed pod takes the place of no other of its name" {
	local i pp
	mkdir "$P/w"
	pp=$(pod_pid w)
	kill -STOP "$pp"
	rmdir "$P/w"
	mkdir "$P/w"
	echo mine=new >"$P/w/labels"
	for i in 1 2 3 4 5 6; do
		kill_server
		is mine=new "$P/w/labels"
	done
	kill -CONT "$pp"
	within 10 none_leaving
	is mine=new "$P/w/labels"
	kill_server
	is mine=new "$P/w/labels"
	gone "$pp"
}

@test "a change that podfs-pod makes late does not take a removal back" {
	mkdir "$P/w"
	local pp uid writer
	pp=$(pod_pid w) uid=$(uid_of w)
	kill -STOP "$pp"
	echo a=b >"$P/w/labels" &
	writer=$!
	# its answer comes, or does not, after the removal
	rmdir "$P/w"
	kill_server
	[ ! -e "$P/w" ]
	kill -CONT "$pp"
	wait "$writer" || :
	within 10 none_leaving
	[ ! -e "$P/w" ]
	[ ! -e "$T/state/pods/$uid" ]
}

# One podfs-pod of that uid, and the same as before.
only() { [ "$(ps -C podfs-pod -o pid=,args= | awk -v uid="$2" 'index($0, uid) { print $1 }')" = "$1" ]; }

@test "a socket that somebody removed: the next server finds the pod, and there is no second podfs-pod" {
	run_pod i3 'sh -c "while :; do sleep 1; done"'
	echo Always >"$P/i3/restart"
	timeout 20 cat "$P/i3/wait/running"
	local pp uid pid
	pp=$(pod_pid i3) uid=$(uid_of i3) pid=$(cat "$P/i3/containers/i3/pid")
	rm "$T/run/$uid.sock"
	kill_server
	is Running "$P/i3/status"
	is "$pid" "$P/i3/containers/i3/pid"
	[ -S "$T/run/$uid.sock" ]
	only "$pp" "$uid"
	# while no server is there that could have been told
	unmount_podfs
	rm "$T/run/$uid.sock"
	mount_podfs
	is "$pid" "$P/i3/containers/i3/pid"
	[ -S "$T/run/$uid.sock" ]
	only "$pp" "$uid"
	is '' "$P/.node/leaks"
	echo 0 >"$P/i3/grace"
	rmdir "$P/i3"
	within 5 none_leaving
	gone "$pp"
}

@test "the folder of sockets is removed: pods can be made at once, and the next server finds all" {
	run_pod i3 "$forever"
	mkdir "$P/other"
	timeout 20 cat "$P/i3/wait/running"
	local pp pid nets
	pp=$(pod_pid i3) pid=$(cat "$P/i3/containers/i3/pid") nets=$(pgrep -f "^podfs-net $T/")
	rm -rf "$T/run"
	mkdir "$P/new"
	rmdir "$P/new"
	mkdir "$P/newer"
	kill_server
	[ "$(pod_pid i3)" = "$pp" ]
	is "$pid" "$P/i3/containers/i3/pid"
	rm -rf "$T/run"
	kill_server
	is "$pid" "$P/i3/containers/i3/pid"
	is Pending "$P/newer/status"
	[ "$(pgrep -f "^podfs-net $T/")" = "$nets" ]
	[ "$(inside i3 getent hosts 127.0.0.1 | wc -l)" -eq 1 ]
	within 10 answers_names
	is '' "$P/.node/leaks"
	unmount_podfs
	rm -rf "$T/run"
	mount_podfs
	[ "$(pod_pid i3)" = "$pp" ]
	[ "$(pgrep -f "^podfs-net $T/")" = "$nets" ]
	mkdir "$P/newest"
	[ "$(stat -c %a "$T/run")" = 700 ]
}
answers_names() { in_container i3 'nslookup newer' | grep -q '^Name.*newer'; }

@test "a podfs-pod that lives and cannot be reached is listed, keeps its pod as it was, and is alone" {
	run_pod i3 "$forever"
	timeout 20 cat "$P/i3/wait/running"
	echo 1 >"$P/i3/grace"
	local pp uid
	pp=$(pod_pid i3) uid=$(uid_of i3)
	kill -STOP "$pp"
	rm "$T/run/$uid.sock"
	kill_server
	within 10 has "i3 $uid: its podfs-pod \(pid $pp\) lives, but can't be reached" "$P/.node/leaks"
	is Running "$P/i3/status"
	has "pid $pp" "$P/i3/why"
	run ! timeout 10 sh -c "echo start >$P/i3/ctl"
	only "$pp" "$uid"
	kill -CONT "$pp"
	within 10 is '' "$P/.node/leaks"
	has 'its container runs' "$P/i3/why"
	only "$pp" "$uid"
	# removed while it cannot be reached: it is ended when its time is over
	kill -STOP "$pp"
	rm "$T/run/$uid.sock"
	kill_server
	rmdir "$P/i3"
	[ ! -e "$P/i3" ]
	within 20 none_leaving
	gone "$pp"
}

@test "a record that cannot be read: its pod runs on with its network, and comes back with the record" {
	run_pod i3 "$forever"
	timeout 20 cat "$P/i3/wait/running"
	local pp uid ip
	pp=$(pod_pid i3) uid=$(uid_of i3) ip=$(head -n 1 "$P/i3/ip")
	cp "$T/state/pods/$uid/pod.ini" "$T/kept"
	: >"$T/state/pods/$uid/pod.ini"
	kill_server
	[ ! -e "$P/i3" ]
	has "pods/$uid/pod.ini: .*its podfs-pod \\(pid $pp\\) and its containers run on" "$P/.node/leaks"
	mkdir "$P/new"
	[ "$(head -n 1 "$P/new/ip")" != "$ip" ]
	# nobody remembers its number but its link
	rmdir "$P/new"
	within 5 none_leaving
	kill -STOP "$(keeper_pid)"
	kill_net
	kill -9 "$(server_pid)"
	kill -CONT "$(keeper_pid)"
	within 10 timeout 1 stat "$P/.node"
	mkdir "$P/new"
	[ "$(head -n 1 "$P/new/ip")" != "$ip" ]
	within 10 network_of "$pp"
	echo retry >"$P/.node/leaks"
	has "$uid" "$P/.node/leaks"
	network_of "$pp"
	cp "$T/kept" "$T/state/pods/$uid/pod.ini"
	echo retry >"$P/.node/leaks"
	within 5 has '^its container runs' "$P/i3/why"
	is '' "$P/.node/leaks"
	[ "$(pod_pid i3)" = "$pp" ]
	[ "$(head -n 1 "$P/i3/ip")" = "$ip" ]
	within 5 inside i3 ping -qc 1 -W 1 "$(head -n 1 "$P/new/ip")"
}
network_of() { nsenter --net="/proc/$1/ns/net" ip -o link show eth0 | grep -q 'state UP\|LOWER_UP'; }
kill_net() {
	local pid
	pid=$(pgrep -f "^podfs-net $T/")
	kill -9 "$pid"
	gone "$pid"
}

@test "a record that is gone is written again while the pod is known, and its folder with it" {
	run_pod i3 "$forever"
	timeout 20 cat "$P/i3/wait/running"
	local pp uid pid
	pp=$(pod_pid i3) uid=$(uid_of i3) pid=$(cat "$P/i3/containers/i3/pid")
	rm "$T/state/pods/$uid/pod.ini"
	echo retry >"$P/.node/leaks"
	within 5 [ -s "$T/state/pods/$uid/pod.ini" ]
	within 5 has 'i3 its record pod.ini had been removed by others, and is written again' "$P/i3/events"
	rm -r "$T/state/pods/$uid"
	echo a=b >"$P/i3/labels"
	[ -s "$T/state/pods/$uid/pod.ini" ]
	has 'its folder .* had been removed by others' "$P/i3/events"
	rm -r "$T/state/pods/$uid"
	echo retry >"$P/.node/leaks"
	within 5 [ -s "$T/state/pods/$uid/pod.ini" ]
	kill_server
	is a=b "$P/i3/labels"
	is "$pid" "$P/i3/containers/i3/pid"
	[ "$(pod_pid i3)" = "$pp" ]
	echo restart >"$P/i3/ctl"
	within 20 another_runs "$pid"
	[ "$(in_container i3 'cat /etc/hostname')" = i3 ]
	is '' "$P/.node/leaks"
	# it cannot be written
	rm "$T/state/pods/$uid/pod.ini"
	mkdir -p "$T/state/pods/$uid/.pod.ini/x"
	echo retry >"$P/.node/leaks"
	within 5 has "^its record pods/$uid/pod.ini is gone and can't be written again .*Is a directory" "$P/i3/why"
	rm -r "$T/state/pods/$uid/.pod.ini"
	echo retry >"$P/.node/leaks"
	within 5 has '^its container runs' "$P/i3/why"
}
another_runs() { local now; now=$(cat "$P/i3/containers/i3/pid") && [ -n "$now" ] && [ "$now" != "$1" ]; }

@test "a pod whose record is gone when a server starts runs on, and is listed by name" {
	run_pod i3 "$forever"
	run_pod two "$forever"
	timeout 20 cat "$P/i3/wait/running" "$P/two/wait/running"
	local pp qq uid tuid pid
	pp=$(pod_pid i3) uid=$(uid_of i3) pid=$(cat "$P/i3/containers/i3/pid") qq=$(pod_pid two) tuid=$(uid_of two)
	cp "$T/state/pods/$uid/pod.ini" "$T/kept"
	rm "$T/state/pods/$uid/pod.ini"
	rm -r "$T/state/pods/$tuid" "$T/run/$tuid.sock"
	kill_server
	within 5 has "pods/$uid: i3: its record pod.ini is gone; its podfs-pod \\(pid $pp\\) and its containers run on" "$P/.node/leaks"
	within 5 has "pods/$tuid: two: its record pod.ini is gone; its podfs-pod \\(pid $qq\\)" "$P/.node/leaks"
	is '' "$P/.node/leaving"
	[ -d "/proc/$pid" ]
	[ ! -e "$P/i3" ]
	echo retry >"$P/.node/leaks"
	within 5 is '' "$P/.node/leaving"
	within 5 has "pods/$uid: i3" "$P/.node/leaks"
	within 5 has "pods/$tuid: two" "$P/.node/leaks"
	network_of "$pp"
	network_of "$qq"
	cp "$T/kept" "$T/state/pods/$uid/pod.ini"
	kill -9 "$qq"
	gone "$qq"
	echo retry >"$P/.node/leaks"
	within 5 is "$pid" "$P/i3/containers/i3/pid"
	within 5 none_leaving
	echo retry >"$P/.node/leaks"
	within 5 is '' "$P/.node/leaks"
}
