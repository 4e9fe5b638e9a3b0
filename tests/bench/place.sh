# shellcheck shell=bash disable=SC2154
# The place where peers are compared: namespaces of its own, so that bridges, mounts, cgroups, daemons and
# containers touch nothing of the machine and end with it. Sourced by tests/bench/run.
#
# One process holds it (payload as PID 1): mount, network, PID, IPC, UTS and cgroup namespaces. /run is a tmpfs there; each cgroup v1
# hierarchy is mounted anew from a group of the place's own, and cgroup2 beside v1 is left out because crun 1.8 refuses such hosts.
# On cgroup v2 the machine's tree is seen as it is.

S=${PODFS_BENCH_STATE:-/var/tmp/podfs-bench} # images, stores, what was built
R=/run/podfs-bench                           # sockets, in the place's own /run
holder=$S/holder
group=podfs-bench

place_alive() { [ -s "$holder" ] && [ "$(readlink "/proc/$(cat "$holder")/exe" 2>/dev/null)" = "$S/rootfs/bin/pause" ]; }

v1_hierarchies() { # OPTIONS MOUNT-POINT lines
	awk '$3 == "cgroup" { n = split($4, o, ","); c = ""
		for (i = 1; i <= n; i++) if (o[i] !~ /^(rw|relatime|nosuid|nodev|noexec|xattr|release_agent=.*)$/) c = c (c ? "," : "") o[i]
		print c, $2 }' /proc/mounts
}

# In the new namespaces, before anything else.
place_prepare() {
	local pid list c at
	read -r pid _ </proc/self/stat # the machine's /proc still: the PID outside
	mount --make-rprivate /
	mount -t proc proc /proc
	# /sys/class/net is that of the namespace that sysfs was mounted in.
	mkdir -p "$S/sys"
	mount -t sysfs sysfs "$S/sys" && mount --rbind /sys/fs/cgroup "$S/sys/fs/cgroup" &&
		umount -l /sys && mount --move "$S/sys" /sys
	list=$(v1_hierarchies)
	if [ -n "$list" ]; then
		umount -l /sys/fs/cgroup
		mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
		while read -r c at; do
			mkdir -p "$at"
			mount -t cgroup -o "$c" cgroup "$at"
		done <<<"$list"
	fi
	mount -t tmpfs -o mode=755 run /run
	mkdir -p "$R" /run/lock /run/netns
	ip link set lo up
	echo "$pid" >"$holder"
}

place_up() {
	place_alive && return
	local at
	while read -r _ at; do
		mkdir -p "$at/$group"
		[ ! -e "$at/$group/cpuset.cpus" ] || for f in cpus mems; do cat "$at/cpuset.$f" >"$at/$group/cpuset.$f"; done
	done < <(v1_hierarchies)
	(
		while read -r _ at; do echo "$BASHPID" >"$at/$group/cgroup.procs"; done < <(v1_hierarchies)
		exec setsid unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child=KILL \
			"$self" prepare </dev/null >"$S/place.log" 2>&1
	) &
	local i
	for ((i = 0; i < 500; i++)); do
		place_alive && return
		read -rt 0.02 <> <(:)
	done
	echo "bench: the place does not come up: $S/place.log" >&2
	return 1
}

# Runs the rest of this script's work inside.
place_enter() { # ARGUMENT…
	place_up || exit 1
	local at
	while read -r _ at; do echo $$ >"$at/$group/cgroup.procs"; done < <(v1_hierarchies)
	PODFS_BENCH_INSIDE=1 exec nsenter -t "$(cat "$holder")" -m -n -p -i -u -C --wd="$here" "$self" "$@"
}

# Everything in it ends with its PID 1.
place_down() {
	local at pid
	if place_alive; then
		pid=$(cat "$holder")
		kill -KILL "$pid"
		while [ -e "/proc/$pid" ]; do read -rt 0.02 <> <(:); done
	fi
	rm -f "$holder"
	while read -r _ at; do
		find "$at/$group" -depth -type d -exec rmdir {} \; 2>/dev/null
	done < <(v1_hierarchies)
}
