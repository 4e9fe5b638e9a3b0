# What others change beneath a running pod: it is noticed, said, and put right where it is clear what is right.
# plain

load lib

pod_folder() { echo "$T/state/pods/$(sed -n 's/^UID: *//p' "$P/$1/describe")"; }
no_file() { [ ! -e "$1" ]; }

@test "a folder that somebody mounted into a container's layer is not emptied with it" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	local up uid
	uid=$(basename "$(pod_folder web)")
	up=$(echo "$(pod_folder web)"/c/*/1/upper)
	mkdir "$T/kept" "$up/x"
	echo word >"$T/kept/file"
	mount --bind "$T/kept" "$up/x"
	EXTRA_MOUNT=$up/x
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	within 10 has "$uid.*busy" "$P/.node/leaks"
	is word "$T/kept/file"
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
	echo retry >"$P/.node/leaks"
	within 10 is '' "$P/.node/leaks"
	is word "$T/kept/file"
}

# said WORDS: in why of pod and container, in state and describe, and once as an event
said() {
	has "web: it runs \\(pid [0-9]*\\), but .*$1" "$P/web/why"
	has "^it runs .*$1" "$P/web/containers/web/why"
	has "^running: .*$1" "$P/web/containers/web/state"
	has "Trouble: .*$1" "$P/web/describe"
	[ "$(grep -c "web/web .*$1" "$P/web/events")" -eq 1 ]
}
no_trouble() { is 'its container runs' "$P/web/why" && is running "$P/web/containers/web/state"; }

@test "mounts that others take from a container are named, until it is restarted" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	no_trouble
	nsenter -t "$(cat "$P/web/containers/web/pid")" -m umount -l /etc/hosts
	within 5 has 'taken away' "$P/web/why"
	said 'mounts of it were taken away by others: /etc/hosts; `echo restart > ctl`'
	kill_server
	said 'mounts of it were taken away by others: /etc/hosts; `echo restart > ctl`'
	echo 0 >"$P/web/grace"
	echo restart >"$P/web/ctl"
	within 10 no_trouble
	# more of them, with no server to hear it
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	unmount_podfs
	nsenter -t "$pid" -m umount -l /
	mount_podfs
	within 5 has 'taken away' "$P/web/why"
	said 'taken away by others: / and [0-9]* more'
	is Running "$P/web/status"
	echo restart >"$P/web/ctl"
	within 10 no_trouble
	[ "$(in_container web 'cat /etc/hostname')" = web ]
}

talks='sh -c "i=0; while :; do i=$((i+1)); printf \"line %d%1000s\\n\" $i .; sleep 0.1; done"'

@test "a log whose disk is full: why says so while it lasts, and events say when it came and went" {
	unmount_podfs
	EXTRA_MOUNT=$T/state
	mount -t tmpfs -o size=6m,mode=0700 tmpfs "$EXTRA_MOUNT"
	mount_podfs
	run_pod web "$talks"
	within 10 has 'line 3' "$P/web/logs/web"
	no_trouble
	dd if=/dev/zero of="$T/state/fill" bs=4k 2>/dev/null || :
	within 20 has "can't be written" "$P/web/why"
	said "its log can't be written, output is dropped: No space left on device"
	kill_server
	said "its log can't be written, output is dropped: No space left on device"
	rm "$T/state/fill"
	within 10 no_trouble
	has "web/web its log is written again; [0-9]* bytes were dropped" "$P/web/events"
	remove_all_pods
	umount "$P"
	within 10 no_process_left
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
}

@test "a log that is removed under a running container goes on, also for who follows it" {
	run_pod web "$talks"
	within 10 has 'line 3' "$P/web/logs/web"
	local folder size
	folder=$(echo "$(pod_folder web)"/logs/web.*)
	timeout 60 tail -n +1 -f "$P/web/logs/web" >"$T/followed" &
	local follower=$!
	within 10 grep -q 'line 3' "$T/followed"
	size=$(stat -c %s "$P/web/logs/web")
	rm -r "$folder"
	within 10 has 'its log was removed by others: it is begun anew' "$P/web/events"
	within 10 new_lines
	[ "$(stat -c %s "$P/web/logs/web")" -gt "$size" ]
	[ -s "$folder/last" ]
	size=$(tail -n 1 "$T/followed")
	within 10 grown "$size"
	# segments alone
	rm "$folder"/0*
	within 10 new_lines
	kill_server
	new_lines
	[ "$(grep -c 'begun anew' "$P/web/events")" -eq 2 ]
	size=$(tail -n 1 "$T/followed")
	within 10 grown "$size"
	kill $follower
}
new_lines() { [ -n "$(cat "$P/web/logs/web")" ]; }
grown() { [ "$(tail -n 1 "$T/followed")" != "$1" ]; }

@test "files of a pod's etc that were removed are there again for the next start, with a server and without" {
	run_pod web 'sh -c "cat /etc/hosts; exec sleep 1000"'
	timeout 20 cat "$P/web/wait/running"
	local etc hosts
	etc=$(pod_folder web)/etc
	echo '192.0.2.9 far' >>"$P/web/hosts"
	hosts=$(cat "$etc/hosts" "$etc/resolv.conf" "$etc/hostname")
	echo 0 >"$P/web/grace"
	rm -r "$etc"
	echo restart >"$P/web/ctl"
	timeout 20 cat "$P/web/wait/running"
	has 'files of its etc/ had been removed by others, and are made anew' "$P/web/events"
	[ "$(cat "$etc/hosts" "$etc/resolv.conf" "$etc/hostname")" = "$hosts" ]
	within 5 has 'far' "$P/web/logs/web"
	# its restart policy alone; what is still there stays as it is
	echo Always >"$P/web/restart"
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	echo mine >"$etc/resolv.conf"
	rm "$etc/hosts"
	unmount_podfs
	kill -9 "$pid"
	within 10 test -e "$etc/hosts"
	is mine "$etc/resolv.conf"
	mount_podfs
	within 10 has ^running "$P/web/containers/web/state"
	is 1 "$P/web/containers/web/restarts"
}

# The container's processes are moved to the root of each hierarchy.
move_out() {
	local d p top
	for d in $(our_cgroups | grep '/c\.web'); do
		top=${d%/"$CG"*}
		for p in $(cat "$d/cgroup.procs"); do echo "$p" >"$top/cgroup.procs"; done
	done
}
remove_groups() {
	local d
	for d in $(our_cgroups | grep '/c\.web' | sort -r); do within 5 rmdir "$d"; done
}
astray='others took it out of its cgroup: its limits do not hold until it is restarted or a limit is written'
# in_groups: every process of the container is in its groups
in_groups() {
	local d p any=
	for d in $(our_cgroups | grep '/c\.web'); do
		any=1
		for p in $(pgrep --ns "$(cat "$P/web/containers/web/pid")" --nslist pid .); do
			grep -qx "$p" "$d/cgroup.procs" || { echo "$p is not in $d"; return 1; }
		done
	done
	[ "$any" ]
}

@test "a cgroup that others remove from under a container is told at once, and a limit puts it back" {
	run_pod web 'sh -c "sleep 1000 & sh -c \"sleep 1000 & wait\" & wait"'
	timeout 20 cat "$P/web/wait/running"
	echo 64M >"$P/web/containers/web/memory.max"
	no_trouble
	in_groups
	move_out
	remove_groups
	within 5 has "$astray" "$P/web/why"
	said "$astray"
	kill_server
	said "$astray"
	[ "$(in_container web 'echo alive')" = alive ]
	said "$astray"
	echo 48M >"$P/web/containers/web/memory.max"
	within 5 no_trouble
	in_groups
	has 'web/web it is in its cgroup again' "$P/web/events"
	local d
	for d in $(our_cgroups | grep '/c\.web'); do
		! [ -e "$d/memory.limit_in_bytes" ] || is 50331648 "$d/memory.limit_in_bytes"
		! [ -e "$d/memory.max" ] || is 50331648 "$d/memory.max"
	done
	is 50331648 "$P/web/containers/web/memory.max"
	# the pod's limits do it too, and a restart
	move_out
	remove_groups
	within 5 has "$astray" "$P/web/why"
	echo 256M >"$P/web/memory.max"
	within 5 no_trouble
	in_groups
	move_out
	remove_groups
	within 5 has "$astray" "$P/web/why"
	echo 0 >"$P/web/grace"
	echo restart >"$P/web/ctl"
	within 10 no_trouble
	in_groups
}

@test "processes that others moved out of a cgroup are missed by the next server, and by who writes a limit" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	move_out
	kill_server
	said "$astray"
	echo 48M >"$P/web/memory.max"
	within 5 no_trouble
	in_groups
	move_out
	[ "$(in_container web 'echo alive')" = alive ]
	has "$astray" "$P/web/why"
}

@test "with share pid nobody can tell whose processes are astray: it is said, and stays" {
	mkdir "$P/web"
	echo 'ipc net uts pid' >"$P/web/share"
	import busybox
	echo "$forever" >"$P/web/command"
	echo busybox >"$P/web/image"
	timeout 20 cat "$P/web/wait/running"
	move_out
	remove_groups
	within 5 has "$astray" "$P/web/why"
	echo 48M >"$P/web/memory.max"
	within 5 has 'could not be put back into its cgroup: it shares a PID namespace' "$P/web/events"
	has "$astray" "$P/web/why"
}

@test "the pods' network: addresses, links set down and links deleted come back at once" {
	run_pod web "$forever"
	run_pod other "$forever"
	timeout 20 cat "$P/web/wait/running" "$P/other/wait/running"
	local bridge veth other
	other=$(head -n 1 "$P/other/ip")
	bridge=$(host ip -o link show type bridge | sed 's/^[0-9]*: \([^:]*\):.*/\1/')
	veth=pf$(basename "$(pod_folder web)" | tr -d - | cut -c 1-12)
	inside web ping -qc 1 -W 5 "$other"
	host ip addr flush dev "$bridge"
	within 5 has 'network: an address of the bridge was removed .* made again' "$P/.node/events"
	within 5 host ping -qc 1 -W 1 "$other"
	host ip link set "$veth" down
	within 5 has 'network: somebody disconnected pod web from the bridge: it was put back' "$P/web/events"
	within 5 inside web ping -qc 1 -W 1 "$other"
	host ip link del "$veth"
	within 5 has 'network: the network of pod web was missing: it is there again' "$P/web/events"
	within 5 inside web ping -qc 1 -W 1 "$other"
	no_trouble
}
