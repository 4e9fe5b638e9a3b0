# Limits and use: v2's names and values on either kind of host, live.

load lib

# kernel WHAT: what the kernel holds for container web of pod web, read where its process is.
kernel() {
	local pid dir
	pid=$(cat "$P/web/containers/web/pid")
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		dir=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
		cat "$dir/${2:-}$1"
	else
		case $1 in
		memory.max) cat "$(v1 memory "$pid")/${2:-}memory.limit_in_bytes" ;;
		memory.high) cat "$(v1 memory "$pid")/${2:-}memory.soft_limit_in_bytes" ;;
		pids.max) cat "$(v1 pids "$pid")/${2:-}pids.max" ;;
		cpu.max) echo "$(cat "$(v1 cpu "$pid")/${2:-}cpu.cfs_quota_us") $(cat "$(v1 cpu "$pid")/${2:-}cpu.cfs_period_us")" ;;
		esac
	fi
}
v1() { echo "/sys/fs/cgroup/$1$(sed -n "s/^[0-9]*:\(.*,\)*$1\(,.*\)*:\(.*\)/\3/p" "/proc/$2/cgroup")"; }

@test "memory.max, pids.max and cpu.max reach the kernel, also while it runs" {
	mkdir "$P/web" "$P/web/containers/web"
	local c=$P/web/containers/web
	echo 64M >"$c/memory.max"
	echo 50 >"$c/pids.max"
	echo 0.5 >"$c/cpu.max"
	import busybox
	echo "$forever" >"$c/command"
	echo busybox >"$c/image"
	[ "$(kernel memory.max)" = 67108864 ]
	[ "$(kernel pids.max)" = 50 ]
	[ "$(kernel cpu.max)" = '50000 100000' ]
	echo 32Mi >"$c/memory.max"
	echo 60 >"$c/pids.max"
	echo 250m >"$c/cpu.max"
	[ "$(kernel memory.max)" = 33554432 ]
	[ "$(kernel pids.max)" = 60 ]
	[ "$(kernel cpu.max)" = '25000 100000' ]
	is 33554432 "$c/memory.max"
	is 60 "$c/pids.max"
	is '25000 100000' "$c/cpu.max"
	echo max >"$c/cpu.max"
	is 'max 100000' "$c/cpu.max"
	echo 40M >"$P/web/memory.max"
	[ "$(kernel memory.max ../)" = 41943040 ]
	echo 2 >"$P/web/cpu.max"
	echo 1 >"$c/cpu.max"
	echo 0.5 >"$P/web/cpu.max"
	[ "$(kernel cpu.max ../)" = '50000 100000' ]
	is '100000 100000' "$c/cpu.max"
	echo 200 >"$c/cpu.weight"
	is 200 "$c/cpu.weight"
	echo 30M >"$c/memory.high"
	is 31457280 "$c/memory.high"
}

@test "limits are there again after a restart" {
	local before
	run_pod web "$forever"
	before=$(cat "$P/web/containers/web/pid")
	echo 64M >"$P/web/containers/web/memory.max"
	echo restart >"$P/web/ctl"
	within 10 runs_anew "$before"
	[ "$(kernel memory.max)" = 67108864 ]
}

runs_anew() { local p; p=$(cat "$P/web/containers/web/pid"); [ -n "$p" ] && [ "$p" != "$1" ]; }

@test "what the OOM killer ends says OOMKilled, a plain SIGKILL does not" {
	import busybox
	mkdir "$P/web" "$P/web/containers/web"
	echo 16M >"$P/web/containers/web/memory.max"
	echo 'tail /dev/zero' >"$P/web/containers/web/command"
	echo busybox >"$P/web/containers/web/image"
	is 137 "$P/web/wait/ended"
	has OOMKilled "$P/web/containers/web/state"
	has '^oom_kill [1-9]' "$P/web/containers/web/memory.events"
	has OOMKilled "$P/web/why"
	run_pod two "$forever"
	echo kill >"$P/two/ctl"
	is 137 "$P/two/wait/ended"
	run ! grep -q OOM "$P/two/containers/two/state" "$P/two/why"
	# and one that was killed by hand after an earlier run had been by the OOM killer
	echo 'sleep 1000' >"$P/web/containers/web/command"
	echo busybox >"$P/web/containers/web/image"
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	run ! grep -q OOM "$P/web/containers/web/state"
}

@test "the pod's limit holds for all of its containers together" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	echo 24M >"$P/web/memory.max"
	echo "$forever" >"$P/web/containers/a/command"
	echo 'tail /dev/zero' >"$P/web/containers/b/command"
	echo busybox >"$P/web/containers/a/image"
	echo busybox >"$P/web/containers/b/image"
	is 137 "$P/web/containers/b/wait/ended"
	has OOMKilled "$P/web/containers/b/state"
}

@test "pids.max stops a fork bomb and nothing else" {
	run_pod web "$forever"
	echo 8 >"$P/web/containers/web/pids.max"
	run ! in_container web 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; wait' 2>/dev/null
	is Running "$P/web/status"
	[ "$(cat "$P/web/containers/web/pids.current")" -le 8 ]
	echo max >"$P/web/containers/web/pids.max"
	in_container web 'true'
}

@test "use: memory, cpu, pids of pod and container, in v2's words" {
	run_pod web 'sh -c "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; sleep 1000"'
	within 20 grep -qx done "$P/web/logs/web"
	local c=$P/web/containers/web
	for f in "$P/web" "$c"; do
		[ "$(cat "$f/memory.current")" -gt 0 ]
		[ "$(cat "$f/memory.peak")" -ge "$(cat "$f/memory.current")" ]
		[ "$(cat "$f/pids.current")" -ge 1 ]
		head -n 1 "$f/cpu.stat" | grep -qE '^usage_usec [1-9][0-9]*$'
		for key in user_usec system_usec nr_periods nr_throttled throttled_usec; do has "^$key [0-9]+$" "$f/cpu.stat"; done
		[ "$(cut -d' ' -f1 "$f/memory.events" | paste -sd' ')" = 'low high max oom oom_kill' ] ||
			has '^oom_kill 0$' "$f/memory.events"
	done
}

@test "a limit under what is in use is refused or holds, and reads back as it is" {
	run_pod web "$forever"
	echo 64M >"$P/web/memory.max"
	if ! echo 4k >"$P/web/memory.max" 2>/dev/null; then
		grep -q memory.max "$P/web/error"
		is 67108864 "$P/web/memory.max"
	else
		is 4096 "$P/web/memory.max"
		echo 64M >"$P/web/memory.max"
	fi
}

@test "top and describe tell what is used" {
	run_pod web "$forever"
	has '^web ' "$P/.node/top"
	has 'emory' "$P/web/describe"
}

@test "no memory for another container's cgroup: ENOMEM, and which limit" {
	mkdir "$P/web"
	echo 4096 >"$P/web/memory.max"
	run mkdir "$P/web/containers/c"
	[ "$status" -ne 0 ] || skip "this kernel makes it all the same"
	[[ $output == *'Cannot allocate memory'* ]]
	tail -n 1 "$P/web/error" | grep -q "no memory.*memory.max"
	echo max >"$P/web/memory.max"
	mkdir "$P/web/containers/c"
}
