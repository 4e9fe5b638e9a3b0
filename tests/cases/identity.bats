# Which pod is which, whatever becomes of files and sockets behind podfs: what was removed stays so, and no pod runs twice.

load lib

# Ends the server, and waits for the next one.
kill_server() {
	local server
	server=$(server_pid)
	kill -9 "$server"
	gone "$server"
	within 10 has_server
	timeout 10 stat "$P/.node" >/dev/null
}
has_server() { [ -n "$(server_pid)" ]; }
pod_pid() { readlink "$P/$1/ns/net" | cut -d/ -f3; }
uid_of() { tr "\0" "\n" <"/proc/$(pod_pid "$1")/cmdline" | sed -n 2p; }
pods_of() { pgrep -f "^[^ ]*podfs-pod .*$1"; }

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
