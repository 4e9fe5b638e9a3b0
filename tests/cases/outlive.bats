# What outlives the server: events, sessions, streams, requests that were under way.
# long

load lib

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

# Requests that were not answered are sent again: FUSE_NOTIFY_RESEND, kernel 6.9 and later.
needs_resend() { [ "$(printf '6.9\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "needs Linux 6.9"; }
blocked() { grep -qs '^State:[[:space:]]*[SD]' "/proc/$1/status" && grep -qs . "/proc/$1/wchan"; }

@test "a session that was made and not yet run is the same for the next server" {
	run_pod web "$forever"
	mkdir "$P/web/containers/two" "$P/web/exec/s1"
	echo "$forever" >"$P/web/containers/two/command"
	echo busybox >"$P/web/containers/two/image"
	timeout 20 cat "$P/web/containers/two/wait/running"
	echo two >"$P/web/exec/s1/container"
	echo 1 >"$P/web/exec/s1/tty"
	echo '30 90' >"$P/web/exec/s1/winsize"
	local owner
	owner=$(stat -c %u:%g "$P/web/exec/s1")
	kill_server
	[ "$(ls "$P/web/exec")" = "$(printf 's1\ntwo\nweb')" ]
	is two "$P/web/exec/s1/container"
	is 1 "$P/web/exec/s1/tty"
	is '30 90' "$P/web/exec/s1/winsize"
	is '' "$P/web/exec/s1/cmd"
	[ "$(stat -c %u:%g "$P/web/exec/s1")" = "$owner" ]
	echo 0 >"$P/web/exec/s1/tty"
	echo 'sh -c "hostname; exit 3"' >"$P/web/exec/s1/cmd"
	is web "$P/web/exec/s1/out"
	is 3 "$P/web/exec/s1/exit"
	rmdir "$P/web/exec/s1"
	kill_server
	[ ! -e "$P/web/exec/s1" ]
}

@test "a session that runs goes on: in, out, exit, and the end that nobody saw" {
	run_pod web "$forever"
	local s=$P/web/exec/s1 o=$P/web/exec/s2
	mkdir "$s" "$o"
	echo 'sh -c "echo begin; cat; echo oops >&2; exit 5"' >"$s/cmd"
	echo 'sh -c "echo alone; until [ -e /dev/shm/go ]; do sleep 0.05; done; exit 6"' >"$o/cmd"
	exec 7>"$s/in"
	echo one >&7
	touch "/proc/$(cat "$P/web/containers/web/pid")/root/dev/shm/go"
	kill_server
	has 'begin; cat' "$s/cmd"
	echo two >&7
	kill_server
	exec 7>&-
	[ "$(timeout 10 cat "$s/out")" = "$(printf 'begin\none\ntwo')" ]
	is oops "$s/err"
	is 5 "$s/exit"
	is alone "$o/out"
	is 6 "$o/exit"
	rmdir "$s" "$o"
}

@test "two writers of in: the end of file comes with the last, whichever server it is" {
	run_pod web "$forever"
	local s=$P/web/exec/s1
	mkdir "$s"
	echo cat >"$s/cmd"
	exec 7>"$s/in" 8>"$s/in"
	echo one >&7
	kill_server
	exec 7>&-
	echo two >&8
	run ! timeout 1 cat "$s/exit"
	kill_server
	exec 8>&-
	[ "$(timeout 10 cat "$s/out")" = "$(printf 'one\ntwo')" ]
	is 0 "$s/exit"
	rmdir "$s"
}

@test "exec 3<>exec/NAME goes on, and what echo wrote to it waits for its reader" {
	run_pod web "$forever"
	exec 7<>"$P/web/exec/web"
	echo 'X=kept; echo first' >&7
	local line
	read -r -t 10 line <&7
	[ "$line" = first ]
	echo 'echo later' >"$P/web/exec/web"
	kill_server
	echo 'echo $X; exit' >&7
	[ "$(timeout 10 cat <&7)" = kept ]
	exec 7>&-
	is later "$P/web/exec/web"
	is '' "$P/web/exec/web"
}

@test "who was blocked when the server was killed gets his answer from the next" {
	needs_resend
	run_pod web 'sh -c "until [ -e /dev/shm/go ]; do sleep 0.05; done; exit 4"'
	timeout 20 cat "$P/web/wait/running"
	local s=$P/web/exec/s1 pid readers='' r
	pid=$(cat "$P/web/containers/web/pid")
	mkdir "$s"
	echo 'sh -c "read x; echo got $x; exit 9"' >"$s/cmd"
	timeout 30 cat "$P/web/wait/ended" >"$T/ended" & readers+=" $!"
	timeout 30 cat "$s/out" >"$T/out" & readers+=" $!"
	timeout 30 cat "$s/exit" >"$T/exit" & readers+=" $!"
	timeout 30 tail -n +1 -f "$P/web/logs/web" >"$T/log" 2>"$T/log.err" &
	local tail=$!
	exec 7<>"$P/web/exec/web"
	timeout 30 head -n 1 <&7 >"$T/shell" & readers+=" $!"
	cd "$P/web"
	for r in $readers; do within 5 blocked "$r"; done
	kill_server
	[ "$(cat status)" = Running ]
	cd /
	echo word >"$s/in"
	echo 'echo hello' >&7
	touch "/proc/$pid/root/dev/shm/go"
	for r in $readers; do wait "$r"; done
	[ "$(cat "$T/ended" "$T/out" "$T/exit" "$T/shell")" = "$(printf '4\ngot word\n9\nhello')" ]
	kill -0 $tail
	kill $tail
	[ ! -s "$T/log.err" ]
	exec 7>&-
	rmdir "$s"
}

# carried_out COMMAND…: runs it while podfs-pod is stopped, kills the server, and lets podfs-pod go on: it carries out what it was
# asked, and the answer goes to a server that is gone.
carried_out() {
	local pod server writer
	pod=$(pod_pid web) server=$(server_pid)
	kill -STOP "$pod"
	"$@" &
	writer=$!
	within 5 blocked $writer
	kill -9 "$server"
	gone "$server"
	kill -CONT "$pod"
	wait $writer
}
append() { echo "$1" >>"$2"; }
put() { echo "$1" >"$2"; }

@test "what was carried out and not answered is answered, and not done twice" {
	needs_resend
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	local s=$P/web/exec/s1 c=$P/web/containers/web
	append A=1 "$c/env"
	carried_out append B=2 "$c/env"
	is "$(printf 'A=1\nB=2')" "$c/env"
	mkdir "$s"
	carried_out put 'sh -c "echo run >>/dev/shm/runs; cat /dev/shm/runs"' "$s/cmd"
	is run "$s/out"
	is 0 "$s/exit"
	rmdir "$s"
	carried_out mkdir "$P/web/containers/two"
	[ -d "$P/web/containers/two" ]
	carried_out rmdir "$P/web/containers/two"
	[ ! -e "$P/web/containers/two" ]
	echo 0 >"$P/web/grace"
	local before
	before=$(grep -c 'web/web started' "$P/web/events")
	carried_out put busybox "$c/image"
	[ "$(grep -c 'web/web started' "$P/web/events")" -eq $((before + 1)) ]
	carried_out put pause "$c/ctl"
	has '^paused' "$c/state"
	carried_out put unpause "$c/ctl"
	has '^running' "$c/state"
}

@test "lines that are added while the server dies are added once; half a line is none" {
	needs_resend
	mkdir "$P/web" "$P/web/containers/a"
	local c=$P/web/containers/a server pod i writers='' long
	pod=$(pod_pid web) server=$(server_pid)
	exec 5>>"$c/env"
	echo A=1 >&5
	kill -STOP "$pod"
	append B=2 "$c/env" & writers+=" $!"
	append 192.0.2.7\ db "$P/web/hosts" & writers+=" $!"
	append C=3 "$P/web/labels" & writers+=" $!"
	for i in $writers; do within 5 blocked "$i"; done
	kill -9 "$server"
	gone "$server"
	kill -CONT "$pod"
	for i in $writers; do wait "$i"; done
	echo D=4 >&5
	is $'A=1\nB=2\nD=4' "$c/env"
	is C=3 "$P/web/labels"
	[ "$(grep -c '192.0.2.7 db' "$P/web/hosts")" -eq 1 ]
	# what a server had of a line that was not finished is gone with it, and the rest alone is refused
	long=$(head -c 1022 /dev/zero | tr '\0' x)
	exec 6>"$c/args"
	printf 'E=%s' "$long" >&5
	printf '%sxx' "$long" >&6
	kill_server
	fails 'Input/output error' bash -c 'echo y=1 >&5'
	fails 'Input/output error' bash -c 'echo " more" >&6'
	exec 5>&- 6>&-
	is $'A=1\nB=2\nD=4' "$c/env"
	is '' "$c/args"
	tail -n 1 "$c/error" | grep -q 'server was started again'
	append F=6 "$c/env"
	is $'A=1\nB=2\nD=4\nF=6' "$c/env"
}

@test "a stream that is read and one that is written lose nothing and double nothing over many kills" {
	needs_resend
	run_pod web "$forever"
	local s=$P/web/exec/s1 i reader
	mkdir "$s"
	echo 'sh -c "seq 1 300000; echo end >&2"' >"$s/cmd"
	(timeout 60 cat "$s/out" | sha256sum >"$T/sum") &
	reader=$!
	for i in 1 2 3 4 5 6; do kill_server; done
	wait $reader
	[ "$(cat "$T/sum")" = "$(seq 1 300000 | sha256sum)" ]
	is 0 "$s/exit"
	rmdir "$s"
	mkdir "$s"
	echo 'sha256sum' >"$s/cmd"
	(seq 1 300000 | timeout 60 cat >"$s/in") &
	reader=$!
	for i in 1 2 3 4 5 6; do kill_server; done
	wait $reader
	is "$(seq 1 300000 | sha256sum)" "$s/out"
	rmdir "$s"
}

@test "who polls is told by the next server" {
	run_pod web "$forever"
	local s=$P/web/exec/s1 poller
	mkdir "$s"
	echo 'sh -c "read x; echo $x"' >"$s/cmd"
	timeout 30 python3 -c '
import select, sys
f = open(sys.argv[1], "rb", buffering=0)
p = select.poll()
p.register(f, select.POLLIN)
print("polling", flush=True)
p.poll()
print(f.read(100).decode().strip())' "$s/out" >"$T/polled" &
	poller=$!
	within 5 grep -q polling "$T/polled"
	within 5 blocked $poller
	kill_server
	echo word >"$s/in"
	wait $poller
	grep -q '^word$' "$T/polled"
	rmdir "$s"
}

@test "an archive half written when the server was killed: the copy fails, and says so" {
	mkfifo "$T/fifo"
	cat "$T/fifo" 2>/dev/null >"$P/.node/images/busybox" &
	local copy=$!
	exec 7>"$T/fifo"
	head -c 200000 "$IMAGES/busybox.tar" >&7
	within 5 begun
	kill_server
	exec 7>&-
	run ! wait $copy
	has 'images: .*started again' "$P/.node/error"
	[ ! -e "$P/.node/images/busybox" ]
	import busybox
	[ -e "$P/.node/images/busybox" ]
}
begun() { pgrep -fa "podfs-image.*$T/" >/dev/null; }

@test "a pod's process is killed: Always makes the sandbox anew, Never is Failed and says why" {
	unmount_podfs
	mount_podfs backoff_base=0.3,backoff_cap=0.5
	run_pod web "$forever"
	echo Always >"$P/web/restart"
	run_pod stays "$forever"
	timeout 20 cat "$P/web/wait/running" "$P/stays/wait/running"
	local first second i
	first=$(cat "$P/web/containers/web/pid")
	kill -9 "$(pod_pid stays)"
	within 10 is Failed "$P/stays/status"
	has 'SandboxLost' "$P/stays/containers/stays/state"
	has 'podfs-pod ended unexpectedly' "$P/stays/why"
	is 137 "$P/stays/containers/stays/exitcode"
	for i in 1 2 3; do
		first=$(cat "$P/web/containers/web/pid")
		kill -9 "$(pod_pid web)"
		within 10 another_runs "$first"
		is "$i" "$P/web/containers/web/restarts"
	done
	is Running "$P/web/status"
	has 'sandbox made anew' "$P/web/events"
	within 5 no_group_of "$first"
	kill_server
	is 3 "$P/web/containers/web/restarts"
	echo start >"$P/stays/ctl"
	timeout 20 cat "$P/stays/wait/running"
}
another_runs() { local now; now=$(cat "$P/web/containers/web/pid") && [ -n "$now" ] && [ "$now" != "$1" ]; }
no_group_of() { ! [ -d "/proc/$1" ]; }

@test "what was being stopped when its podfs-pod was killed does not come again" {
	import busybox
	mkdir "$P/web"
	echo Always >"$P/web/restart"
	echo 'sh -c "trap : TERM; echo up; while :; do sleep 1; done"' >"$P/web/command"
	echo busybox >"$P/web/image"
	within 10 has up "$P/web/logs/web"
	echo stop >"$P/web/ctl"
	within 5 has 'being stopped' "$P/web/containers/web/state"
	kill -9 "$(pod_pid web)"
	within 10 is Failed "$P/web/status"
	# the same for a server that was not there
	echo start >"$P/web/ctl"
	timeout 20 cat "$P/web/wait/running"
	echo stop >"$P/web/ctl"
	within 5 has 'being stopped' "$P/web/containers/web/state"
	local pid
	pid=$(pod_pid web)
	kill -STOP "$(keeper_pid)"
	kill -9 "$(server_pid)" "$pid"
	within 10 gone "$pid"
	kill -CONT "$(keeper_pid)"
	within 10 has '^terminated ' "$P/web/containers/web/state"
	is 137 "$P/web/containers/web/exitcode"
	is 0 "$P/web/containers/web/restarts"
}

@test "after a reboot: counts, codes and logs of the runs before, and what ran comes again" {
	unmount_podfs
	mount_podfs backoff_base=0.1
	run_pod web 'sh -c "echo run; exec sleep 1000"'
	timeout 20 cat "$P/web/wait/running"
	echo OnFailure >"$P/web/restart"
	run_pod ended 'sh -c "echo bye; exit 7"'
	is 7 "$P/ended/wait/ended"
	run_pod done 'sh -c "exit 0"'
	is 0 "$P/done/wait/ended"
	echo Always >"$P/done/restart"
	echo kill >"$P/web/ctl"
	within 10 restarted_once
	local pods
	pods=$(pod_pid web)\ $(pod_pid ended)\ $(pod_pid done)
	unmount_podfs
	kill -9 $pods
	echo 00000000-0000-0000-0000-000000000000 >"$T/state/boot"
	mount_podfs
	has 'the node was restarted meanwhile|the last one was ended' "$P/.node/events"
	timeout 20 cat "$P/web/wait/running"
	is 2 "$P/web/containers/web/restarts"
	is run "$P/web/logs/web.previous"
	within 10 is 7 "$P/ended/containers/ended/exitcode"
	has '^terminated.*Error' "$P/ended/containers/ended/state"
	is Failed "$P/ended/status"
	is 7 "$P/ended/wait/ended"
	is bye "$P/ended/logs/ended"
	has '^terminated' "$P/done/containers/done/state"
}
restarted_once() { [ "$(cat "$P/web/containers/web/restarts")" = 1 ] && grep -q ^running "$P/web/containers/web/state"; }

@test "the run before this one: its code, reason and times stay readable, also for the next server and after a reboot" {
	unmount_podfs
	mount_podfs backoff_base=0.1
	import busybox
	mkdir "$P/web"
	echo OnFailure >"$P/web/restart"
	echo 'sh -c "[ ! -e /dev/shm/go ] || exec sleep 1000; touch /dev/shm/go; exit 7"' >"$P/web/command"
	echo busybox >"$P/web/image"
	within 10 runs_again
	is '' "$P/web/containers/web/exitcode"
	run ! last_state x
	last_state exitCode: 7 reason: Error
	local times
	times=$(last_times)
	[ "$(wc -w <<<"$times")" -eq 2 ]
	grep -A 6 'Last State: *Terminated$' "$P/web/describe" >"$T/last"
	grep -q '^ *Reason: *Error$' "$T/last"
	grep -q '^ *Exit Code: *7$' "$T/last"
	grep -q '^ *Started: .*Z (' "$T/last"
	grep -q '^ *Finished: .*Z (' "$T/last"
	kill_server
	last_state exitCode: 7 reason: Error
	[ "$(last_times)" = "$times" ]
	# the next podfs-pod knows the run that was lost
	echo 'sleep 1000' >"$P/web/command"
	local pod
	pod=$(pod_pid web)
	kill -9 "$pod"
	gone "$pod"
	within 10 last_state exitCode: 137 reason: SandboxLost
	echo Never >"$P/web/restart"
	pod=$(pod_pid web)
	unmount_podfs
	kill -9 "$pod"
	mount_podfs
	within 10 has '^terminated' "$P/web/containers/web/state"
	last_state exitCode: 137 reason: SandboxLost
	# what an older podfs wrote says nothing of it, and is read all the same
	pod=$(pod_pid web)
	unmount_podfs
	kill -9 "$pod"
	echo '3 4 9 0 1767225600000000000 1767225601000000000 Error' >"$(echo "$T"/state/pods/*/logs/web.*/last)"
	mount_podfs
	within 10 is 9 "$P/web/containers/web/exitcode"
	is 4 "$P/web/containers/web/restarts"
	run ! grep -q lastState "$P/web/pod.yaml"
}

@test "a podfs-pod that is lost between two runs: the run that had ended keeps its code" {
	unmount_podfs
	mount_podfs backoff_base=300
	import busybox
	mkdir "$P/web"
	echo Always >"$P/web/restart"
	echo 'sh -c "exit 7"' >"$P/web/command"
	echo busybox >"$P/web/image"
	within 10 has CrashLoopBackOff "$P/web/containers/web/state"
	echo 'sleep 1000' >"$P/web/command"
	kill -9 "$(pod_pid web)"
	within 10 has ^running "$P/web/containers/web/state"
	last_state exitCode: 7 reason: Error
	local pod
	pod=$(cat "$P/web/containers/web/pid")
	echo kill >"$P/web/ctl"
	within 10 another_runs "$pod"
	echo kill >"$P/web/ctl"
	within 10 has CrashLoopBackOff "$P/web/containers/web/state"
	pod=$(pod_pid web)
	unmount_podfs
	kill -9 "$pod"
	mount_podfs
	within 10 has ^running "$P/web/containers/web/state"
	last_state exitCode: 137 reason: Error
}
runs_again() { [ "$(cat "$P/web/containers/web/restarts")" -ge 1 ] && grep -q ^running "$P/web/containers/web/state"; }
# last_state KEY: VALUE…: of web's lastState.terminated in pod.yaml
last_state() {
	sed -n '/lastState:/,/^ *- /p' "$P/web/pod.yaml" >"$T/lastState"
	grep -q terminated: "$T/lastState" || return 1
	while [ $# -gt 1 ]; do
		grep -q "^ *$1 \"\?$2\"\?$" "$T/lastState" || { cat "$T/lastState"; return 1; }
		shift 2
	done
	[ $# -eq 0 ]
}
last_times() { sed -n '/lastState:/,/^ *- /p' "$P/web/pod.yaml" | sed -n 's/^ *\(startedAt\|finishedAt\): //p' | paste -sd' '; }

@test "how long a pod backs off is what the config says now" {
	unmount_podfs
	mount_podfs backoff_base=300
	run_pod web 'sleep 1000'
	timeout 20 cat "$P/web/wait/running"
	echo Always >"$P/web/restart"
	unmount_podfs
	mount_podfs backoff_base=0.1
	local pid i
	for i in 1 2; do
		pid=$(cat "$P/web/containers/web/pid")
		echo kill >"$P/web/ctl"
		within 10 another_runs "$pid"
	done
}

@test "what belongs to nobody is removed at start and on request" {
	local uid=01234567-89ab-4def-8123-456789abcdef bad=11234567-89ab-4def-8123-456789abcdef group
	run_pod web "$forever"
	group=$(dirname "$(our_cgroups | grep -m 1 "c\.web")")
	unmount_podfs
	leave_strays $uid "${group%/*}/$uid"
	mount_podfs
	within 10 strays_gone $uid
	is '' "$P/.node/leaks"
	leave_strays $uid "${group%/*}/$uid"
	# a record that cannot be read is nobody's to remove
	mkdir -p "$T/state/pods/$bad"
	echo rubbish >"$T/state/pods/$bad/pod.ini"
	echo retry >"$P/.node/leaks"
	within 10 strays_gone $uid
	has "$bad/pod.ini" "$P/.node/leaks"
	refused 'Invalid argument' "$P/.node/leaks" again
	rm -r "$T/state/pods/$bad"
	echo retry >"$P/.node/leaks"
	is '' "$P/.node/leaks"
	is Running "$P/web/status"
}
leave_strays() {
	mkdir -p "$T/state/pods/$1/c/web.1/1/upper" "$2"
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$T/run/$1.sock"
}
strays_gone() { [ ! -e "$T/state/pods/$1" ] && [ ! -e "$T/run/$1.sock" ] && ! our_cgroups | grep -q "$1" && [ -z "$(cat "$P/.node/leaving")" ]; }

@test "what a pod could not free is listed, told to the next server, tried again and taken back" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	local run
	run=$(echo "$T"/state/pods/*/c/web.*/1)
	mkdir "$run/upper/busy"
	EXTRA_MOUNT=$run/upper/busy
	mount -t tmpfs tmpfs "$EXTRA_MOUNT"
	echo restart >"$P/web/ctl"
	within 10 has "^web .*/1: " "$P/.node/leaks"
	is Running "$P/web/status"
	kill_server
	within 10 has "^web .*/1: " "$P/.node/leaks"
	echo retry >"$P/.node/leaks"
	has "^web .*/1: " "$P/.node/leaks"
	[ "$(wc -l <"$P/.node/leaks")" = 1 ]
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
	echo retry >"$P/.node/leaks"
	within 10 is '' "$P/.node/leaks"
	has 'web freed: ' "$P/web/events"
	[ ! -e "$run" ]
}

@test "the state folder is on a full disk: what cannot be kept is refused in words, and pods go on" {
	unmount_podfs
	EXTRA_MOUNT=$T/state
	mount -t tmpfs -o size=6m,mode=0700 tmpfs "$EXTRA_MOUNT"
	mount_podfs
	mkdir "$P/web"
	import busybox
	echo "$forever" >"$P/web/command"
	echo busybox >"$P/web/image"
	timeout 20 cat "$P/web/wait/running"
	dd if=/dev/zero of="$T/state/fill" bs=64k 2>/dev/null || :
	dd if=/dev/zero of="$T/state/fill2" bs=512 2>/dev/null || :
	refused 'No space left' "$P/web/labels" A=1
	tail -n 1 "$P/web/error" | grep -q 'No space left'
	fails 'No space left' mkdir "$P/b"
	grep -q 'No space left' "$P/.node/error"
	is '' "$P/web/labels"
	is Running "$P/web/status"
	[ "$(in_container web 'echo alive')" = alive ]
	kill_server
	is Running "$P/web/status"
	rm "$T/state/fill" "$T/state/fill2"
	echo A=1 >"$P/web/labels"
	is A=1 "$P/web/labels"
	mkdir "$P/b"
	rmdir "$P/b"
	remove_all_pods
	has 'web created' "$P/.node/events"
	is '' "$P/.node/leaks"
	umount "$P"
	within 10 no_process_left
	mount -o remount,ro "$T/state"
	run -1 mount_podfs
	[[ $output == *"$T/state"*"Read-only"* ]]
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
}

@test "a sandbox that cannot be made anew is tried with patience, and said once" {
	unmount_podfs
	EXTRA_MOUNT=$T/state
	mount -t tmpfs -o size=6m,mode=0700 tmpfs "$EXTRA_MOUNT"
	mount_podfs backoff_base=1,backoff_cap=1
	import busybox
	run_pod web "$forever"
	echo Always >"$P/web/restart"
	local began
	dd if=/dev/zero of="$T/state/fill" bs=64k 2>/dev/null || :
	dd if=/dev/zero of="$T/state/fill2" bs=512 2>/dev/null || :
	for began in 1 2 3 4 5; do fails 'No space left' mkdir "$P/b$began"; done
	began=$(date +%s)
	kill -9 "$(pod_pid web)"
	within 10 has '^the sandbox is lost: .*No space left.*; it is made anew in [01] s$' "$P/web/why"
	is Failed "$P/web/status"
	within 10 tried_for 3 "$began"
	[ "$(grep -c 'could not be made anew: .*No space left' "$P/.node/events")" -le 1 ]
	rm "$T/state/fill" "$T/state/fill2"
	within 10 is Running "$P/web/status"
	has 'sandbox made anew' "$P/.node/events"
	remove_all_pods
	umount "$P"
	within 10 no_process_left
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
}
tried_for() { [ $(($(date +%s) - $2)) -ge "$1" ]; }

@test "a podfs-pod that does not answer the next server delays nobody, and its pod is shown as it was" {
	run_pod web "$forever"
	run_pod other "$forever"
	timeout 20 cat "$P/web/wait/running" "$P/other/wait/running"
	local pid
	pid=$(pod_pid web)
	kill -STOP "$pid"
	kill_server
	[ "$(timeout 1 cat "$P/other/status")" = Running ]
	[ "$(timeout 1 cat "$P/web/status")" = Running ]
	has '^running' "$P/web/containers/web/state"
	has "^its podfs-pod does not answer" "$P/web/why"
	has 'web its podfs-pod does not answer$' "$P/.node/events"
	kill -CONT "$pid"
	within 10 has "^its container runs" "$P/web/why"
	[ -n "$(cat "$P/web/containers/web/pid")" ]
	[ "$(grep -c 'web/web started' "$P/.node/events")" = 1 ]
}

@test "an upgrade: new programs, and neither a pod nor who has a file open notices" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	unmount_podfs
	local prog=$T/prog keeper server pid reader
	programs
	cd "$T"
	printf '[node]\ngrace = 9\n' >"$T/podfs.conf"
	timeout 30 "$prog/tools/podfs" -o "$(options config=podfs.conf)" pods
	keeper=$(keeper_pid) server=$(server_pid) pid=$(cat "$P/web/containers/web/pid")
	exec 7<>"$P/web/exec/web"
	echo 'X=kept' >&7
	timeout 30 cat "$P/web/wait/ended" >"$T/ended" &
	reader=$!
	within 5 blocked $reader
	cd "$P/web"
	install_anew tools/podfs
	install_anew fs/podfs-server
	printf '[node]\ngrace = 8\n' >"$T/podfs.conf"
	upgrade
	has '- server is back: the last one was replaced; away for' "$P/.node/events"
	has '^grace *= *8$' "$P/.node/config"
	[ "$(keeper_pid)" = "$keeper" ]
	[ "$(server_pid)" != "$server" ]
	[ "$(stat -L -c %i "/proc/$keeper/exe")" = "$(stat -c %i "$prog/tools/podfs")" ]
	[ "$(stat -L -c %i "/proc/$(server_pid)/exe")" = "$(stat -c %i "$prog/fs/podfs-server")" ]
	[ "$(cat status)" = Running ]
	is "$pid" "$P/web/containers/web/pid"
	echo 'echo $X; exit' >&7
	[ "$(timeout 10 cat <&7)" = kept ]
	exec 7>&-
	# a config that is wrong, a program that does not run: the old ones stay
	server=$(server_pid)
	echo 'grace = soon' >>"$T/podfs.conf"
	stays_with "$server" 'grace'
	printf '[node]\nusers = nosuchuser\n' >"$T/podfs.conf"
	stays_with "$server" 'there is no user nosuchuser'
	: >"$T/podfs.conf"
	replace fs/podfs-server 'exit 1'
	stays_with "$server" 'ended with status 1'
	rm "$prog/fs/podfs-server"
	stays_with "$server" 'podfs-server'
	install_anew fs/podfs-server
	replace tools/podfs 'exit 3'
	stays_with "$server" 'ended with status 3'
	[ "$(keeper_pid)" = "$keeper" ]
	cd /
	echo kill >"$P/web/ctl"
	wait $reader
	is 137 "$T/ended"
	unmount_podfs
	mount_podfs
}
# The programs as in a build folder, in $T/prog.
programs() {
	mkdir -p "$T"/prog/tools "$T"/prog/fs "$T"/prog/runtime
	cp "$PODFS_BUILD/tools/podfs" "$T/prog/tools/"
	cp "$PODFS_BUILD/fs/podfs-server" "$T/prog/fs/"
	cp -r "$PODFS_BUILD/runtime/pod" "$PODFS_BUILD/runtime/image" "$T/prog/runtime/"
}
install_anew() {
	cp "$PODFS_BUILD/$1" "$T/prog/new"
	mv "$T/prog/new" "$T/prog/$1"
}
# replace PROGRAM COMMAND: a script in its place
replace() {
	printf '#!/bin/sh\n%s\n' "$2" >"$T/prog/new"
	chmod 755 "$T/prog/new"
	mv "$T/prog/new" "$T/prog/$1"
}
upgrade() { sh "$BATS_TEST_DIRNAME/../../tools/podfs-upgrade" "$T/state"; }
# stays_with SERVER WORDS: an upgrade is refused, and says so
stays_with() {
	run -1 upgrade
	[[ $output == *"the old server goes on"*"$2"*"does not take over"* || $output == *"the old server goes on"*"does not take over"*"$2"* ]] ||
		{ echo "$output"; return 1; }
	[ "$(server_pid)" = "$1" ]
	is Running "$P/web/status"
}

@test "an upgrade to a server that is right and does not start: it says that there is none, and pods go on" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	unmount_podfs
	programs
	timeout 30 "$T/prog/tools/podfs" -o "$(options)" "$P"
	local pid keeper
	pid=$(cat "$P/web/containers/web/pid") keeper=$(keeper_pid)
	replace fs/podfs-server '[ "$1" = --check ] || exit 1'
	run -1 upgrade
	[[ $output == *"no server of $P starts any more"* ]]
	fails 'not connected' ls "$P"
	gone "$keeper"
	mount_podfs
	is "$pid" "$P/web/containers/web/pid"
	is Running "$P/web/status"
}

@test "groups that others removed are made anew, with their limits" {
	run_pod web 'sh -c "exit 3"'
	is 3 "$P/web/wait/ended"
	echo 64M >"$P/web/memory.max"
	echo 32M >"$P/web/containers/web/memory.max"
	remove_groups
	echo "$forever" >"$P/web/command"
	echo start >"$P/web/ctl"
	timeout 20 cat "$P/web/wait/running"
	has 'had been removed by others' "$P/web/events"
	local d
	for d in $(our_cgroups | grep 'c\.web'); do
		! [ -e "$d/memory.limit_in_bytes" ] || is 33554432 "$d/memory.limit_in_bytes"
		! [ -e "$d/memory.max" ] || is 33554432 "$d/memory.max"
	done
	[ "$(in_container web 'echo alive')" = alive ]
}
remove_groups() {
	local i d
	for i in 1 2 3; do
		for d in $(our_cgroups | sort -r); do rmdir "$d" 2>/dev/null || :; done
	done
	! our_cgroups | grep -q 'c\.web'
}
