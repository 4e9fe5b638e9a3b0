# What outlives the server: events, sessions, streams, requests that were under way.

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

@test "events are the same for the next server, and it says that it was away" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	cp "$P/web/events" "$T/before"
	local size
	size=$(stat -c %s "$P/.node/events")
	timeout 60 tail -c +$((size + 1)) -f "$P/.node/events" >"$T/followed" &
	local follower=$!
	kill_server
	cmp "$T/before" "$P/web/events"
	[ "$(stat -c %s "$P/.node/events")" -gt "$size" ]
	has '- server is back: the last one was killed by signal 9 .*; away for 0\.[0-9]* s' "$P/.node/events"
	within 10 grep -q 'server is back' "$T/followed"
	kill $follower
	[ "$(wc -l <"$T/followed")" -eq 1 ]
	unmount_podfs
	mount_podfs
	cmp "$T/before" "$P/web/events"
	has '- server ends$' "$P/.node/events"
	has '- server is back: the last one was ended; away for' "$P/.node/events"
}

@test "what happens while there is no server is an event of its own time" {
	run_pod web 'sh -c "until [ -e /dev/shm/go ]; do sleep 0.05; done; exit 4"'
	timeout 20 cat "$P/web/wait/running"
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	unmount_podfs
	touch "/proc/$pid/root/dev/shm/go"
	gone "$pid"
	mount_podfs
	is 4 "$P/web/wait/ended"
	[ "$(grep -c 'web/web started' "$P/web/events")" -eq 1 ]
	[ "$(grep -c 'web/web ended: Error, exit code 4' "$P/web/events")" -eq 1 ]
	kill_server
	[ "$(grep -c 'web/web ended: Error, exit code 4' "$P/web/events")" -eq 1 ]
}

@test "a server that nobody saw end is told by its last event" {
	kill -9 "$(keeper_pid)" "$(server_pid)"
	within 10 dead
	mount_podfs
	has '- server is back: nobody saw the last one end; its last event was [0-9.]* s ago$' "$P/.node/events"
}
dead() { stat "$P" 2>&1 | grep -q 'not connected'; }
