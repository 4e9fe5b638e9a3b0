# rmdir: the name is free at once, the rest in the background, and nothing is left.

load lib

stubborn='sh -c "trap : TERM; echo up; while :; do sleep 1000; done"'
polite='sh -c "trap \"echo leaving; sleep 0.3; exit 0\" TERM; echo up; while :; do sleep 1000 & wait; done"'
up() { within 10 grep -qx up "$P/${1:-web}/logs/${1:-web}"; }

@test "the name is free at once" {
	run_pod web "$stubborn"
	up
	echo 2 >"$P/web/grace"
	rmdir "$P/web"
	[ ! -e "$P/web" ]
	mkdir "$P/web"
	is Pending "$P/web/status"
	echo 'echo new' >"$P/web/command"
	echo busybox >"$P/web/image"
	is 0 "$P/web/wait/ended"
	is new "$P/web/logs/web"
}

@test "leaving shows who goes and how long it may take" {
	run_pod web "$stubborn"
	up
	echo 20 >"$P/web/grace"
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	rmdir "$P/web"
	has '^web .*(1[0-9]|20)' "$P/.node/leaving"
	[ -d "/proc/$pid" ]
	# a person has had enough
	kill -9 "$pid"
	within 5 none_leaving
}

@test "SIGTERM, then the grace period, then SIGKILL" {
	run_pod web "$polite"
	up
	run_pod hard "$stubborn"
	up hard
	echo 1 >"$P/hard/grace"
	local polite_pid hard_pid from
	polite_pid=$(cat "$P/web/containers/web/pid") hard_pid=$(cat "$P/hard/containers/hard/pid")
	from=$(date +%s%N)
	rmdir "$P/web" "$P/hard"
	gone "$polite_pid"
	gone "$hard_pid"
	[ $((($(date +%s%N) - from) / 1000000)) -ge 900 ]
	[ $((($(date +%s%N) - from) / 1000000)) -lt 5000 ]
	within 5 none_leaving
}

@test "grace 0 kills at once" {
	run_pod web "$stubborn"
	up
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	within 2 none_leaving
}

@test "stop: the grace period of a stop" {
	run_pod web "$stubborn"
	up
	echo 1 >"$P/web/grace"
	echo stop >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	run ! grep -q OOM "$P/web/why"
	run_pod two "$polite"
	up two
	echo stop >"$P/two/ctl"
	is 0 "$P/two/wait/ended"
	grep -qx leaving "$P/two/logs/two"
}

@test "nothing is left: processes, namespaces, cgroups, mounts, files" {
	local i p
	for i in 1 2 3; do
		run_pod w$i "$polite"
		mkdir "$P/w$i/containers/b" "$P/w$i/exec/s"
		echo "$forever" >"$P/w$i/containers/b/command"
		echo busybox >"$P/w$i/containers/b/image"
		echo 'sleep 1000' >"$P/w$i/exec/s/cmd"
	done
	for p in $(pgrep -f "podfs-pod .*$T/") $(cat "$P"/w?/containers/*/pid); do readlink /proc/"$p"/ns/*; done |
		sort -u | grep -vxFf <(readlink /proc/self/ns/*) >"$T/namespaces"
	# of a pod: net ipc uts; of each of two containers: mnt pid cgroup
	[ "$(wc -l <"$T/namespaces")" -ge 27 ]
	(cd /proc && printf '%s\n' [0-9]*) >"$T/pids"
	run ! no_namespace_left
	rmdir "$P"/w?
	within 10 none_leaving
	within 5 no_pod_process
	within 5 no_namespace_left
	[ -z "$(ls -A "$T/state/pods")" ]
	[ -z "$(find "$T/run" -name '*.sock' ! -name net.sock)" ]
	[ -z "$(find /sys/fs/cgroup -type d -path "*/$CG/*")" ]
}
# Neither by a process nor by a descriptor of one. Numbers of namespaces are given again at once: who came later, or belongs to
# another instance, has namespaces of its own.
no_namespace_left() {
	local p
	while read -r p; do
		grep -qs 'podfs-case\.' "/proc/$p/cmdline" && ! grep -qF "$T" "/proc/$p/cmdline" && continue
		! readlink "/proc/$p/ns/"* "/proc/$p/fd/"* 2>/dev/null | grep -xFf "$T/namespaces" || { echo "held by $p"; return 1; }
	done <"$T/pids"
}

@test "a paused container is removed all the same" {
	run_pod web "$forever"
	echo pause >"$P/web/ctl"
	within 5 grep -q '^paused' "$P/web/containers/web/state"
	echo 1 >"$P/web/grace"
	rmdir "$P/web"
	within 5 none_leaving
}

@test "a container full of files and a deep tree is removed" {
	run_pod web 'sh -c "cd /tmp; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; seq 1 500 | xargs touch; echo up; exec sleep 1000"'
	up
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	within 10 none_leaving
	[ -z "$(ls -A "$T/state/pods")" ]
}

@test "readers that wait are told" {
	run_pod web "$forever"
	timeout 10 cat "$P/web/wait/ended" >"$T/said" 2>&1 &
	local reader=$!
	within 5 sleeping $reader
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	wait $reader || true
	# it ended, by an answer and not by the deadline
	[ -s "$T/said" ]
}
sleeping() { grep -qs '^State:[[:space:]]*[SD]' "/proc/$1/status"; }

@test "podfs-pod dies: its containers die with it, the pod says so, nothing is left" {
	run_pod web "$forever"
	local pod_pid container_pid
	container_pid=$(cat "$P/web/containers/web/pid")
	pod_pid=$(awk '/^PPid:/ { print $2 }' "/proc/$container_pid/status")
	kill -9 "$pod_pid"
	within 5 ended_or_zombie "$container_pid"
	within 5 grep -qx Failed "$P/web/status"
	grep -q . "$P/web/why"
	timeout 5 ls "$P" >/dev/null
	rmdir "$P/web"
	within 5 none_leaving
}
