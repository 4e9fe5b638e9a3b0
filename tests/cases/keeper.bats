# The command: options, config, start and failure, unmount and mount again, what dies in between.

load lib

setup() { new_instance; }

@test "it returns when the tree is there, and umount ends all of it" {
	mount_podfs
	[ -d "$P/.node" ]
	local keeper server
	keeper=$(keeper_pid) server=$(server_pid)
	[ "$(stat -f -c %T "$P")" = fuse ] || [ "$(stat -f -c %T "$P")" = fuseblk ]
	grep -q " $P .* fuse.podfs podfs .*default_permissions" /proc/self/mountinfo
	grep -q " $P .*nosuid,nodev" /proc/self/mountinfo
	[ "$(stat -c %a "$T/state")" = 700 ]
	[ "$(stat -c %a "$T/run")" = 700 ]
	umount "$P"
	gone "$keeper"
	gone "$server"
	run ! mounted
}

@test "unmounted and mounted again at once, the pods are there" {
	mount_podfs
	run_pod web "$forever"
	local pid i
	pid=$(cat "$P/web/containers/web/pid")
	for i in 1 2 3; do
		umount "$P"
		[ -d "/proc/$pid" ]
		mount_podfs
		is Running "$P/web/status"
		is "$pid" "$P/web/containers/web/pid"
		[ "$(in_container web hostname)" = web ]
	done
}

@test "what happened while it was away is known" {
	mount_podfs
	run_pod web 'sh -c "until [ -e /dev/shm/go ]; do sleep 0.05; done; echo bye; exit 4"'
	run_pod stays "$forever"
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	unmount_podfs
	touch "/proc/$pid/root/dev/shm/go"
	gone "$pid"
	mount_podfs
	is 4 "$P/web/wait/ended"
	is bye "$P/web/logs/web"
	is Failed "$P/web/status"
	is Running "$P/stays/status"
	rmdir "$P/web" "$P/stays"
}

@test "-f stays, and ends with the mount or with ^C" {
	"$podfs" -f -o "$(options)" "$P" 2>"$T/err" &
	local pid=$!
	within 10 test -d "$P/.node"
	umount "$P"
	wait $pid
	# what a shell without job control starts in the background ignores ^C
	env --default-signal=INT "$podfs" -f -o "$(options)" "$P" 2>"$T/err" &
	pid=$!
	within 10 test -d "$P/.node"
	kill -INT $pid
	wait $pid
	run ! mounted
}

@test "SIGTERM to the keeper unmounts, also when somebody is in there" {
	mount_podfs
	local keeper
	keeper=$(keeper_pid)
	kill "$keeper"
	gone "$keeper"
	run ! mounted
	mount_podfs
	keeper=$(keeper_pid)
	cd "$P"
	kill "$keeper"
	gone "$keeper"
	cd /
	run ! mounted
	within 5 no_process_left
}

@test "umount ends it though a copy of the mount is left in another namespace" {
	mount_podfs
	local keeper holder
	keeper=$(keeper_pid)
	# what a service with a mount namespace of its own does
	unshare --mount --propagation private sleep 1000 &
	holder=$!
	within 5 holds_copy $holder
	mkdir "$T/other"
	mount --bind "$P" "$T/other"
	umount "$P"
	# still mounted here under another name: it goes on
	[ -d "$T/other/.node" ]
	umount "$T/other"
	gone "$keeper" || { kill $holder; return 1; }
	mount_podfs
	umount "$P"
	kill $holder
	within 5 no_process_left
}
holds_copy() { [ "$(readlink /proc/$1/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ] && grep -q " $P " /proc/$1/mountinfo; }

@test "a dead mount is taken over" {
	mount_podfs
	run_pod web "$forever"
	kill -9 "$(keeper_pid)" "$(server_pid)"
	within 10 dead
	run mount_podfs
	[ "$status" -eq 0 ]
	[[ $output == *died* ]]
	is Running "$P/web/status"
	[ "$(grep -c " $P " /proc/self/mountinfo)" -eq 1 ]
}
dead() { stat "$P" 2>&1 | grep -q 'not connected'; }

@test "a mount whose server dies while podfs looks at it is taken over" {
	mount_podfs
	local server other
	server=$(server_pid)
	kill -STOP "$server"
	kill -9 "$(keeper_pid)"
	mount_podfs >"$T/said" 2>&1 &
	other=$!
	within 5 looks_at_it
	kill -9 "$server"
	wait $other
	timeout 5 cat "$P/.node/version"
}
looks_at_it() { local pid; pid=$(pgrep -fn "podfs -o .*$T/") && grep -qs '^State:[[:space:]]*[SD]' "/proc/$pid/status"; }

@test "the server dies: it is started again, and who waited gets an answer" {
	mount_podfs
	run_pod web "$forever"
	local server pid reader
	pid=$(cat "$P/web/containers/web/pid")
	server=$(server_pid)
	timeout 20 cat "$P/web/wait/ended" >"$T/code" 2>"$T/err" &
	reader=$!
	within 5 in_read $reader
	cd "$P/web"
	kill -9 "$server"
	gone "$server"
	within 10 settled
	mounted
	[ "$(timeout 5 cat status)" = Running ]
	cd /
	is "$pid" "$P/web/containers/web/pid"
	[ "$(in_container web hostname)" = web ]
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	wait $reader
	is 137 "$T/code"
}
in_read() { grep -qs '^State:[[:space:]]*[SD]' "/proc/$1/status"; }
settled() { [ -n "$(server_pid)" ]; }

# What ends before it is ready, by itself or by others (no memory), is tried for 25 s: all at the same time.
@test "a server that does not start any more: ENOTCONN and never the folder below, until it is mounted again" {
	local way server foreground code=0
	for way in exit kill stay; do mkdir -p "$T/$way/pods" "$T/$way/bin"; server_again $way; done
	mount_way exit
	mount_way kill
	mount_way stay -f 2>"$T/err" &
	foreground=$!
	within 10 test -d "$T/stay/pods/.node"
	for way in exit kill stay; do
		mkdir "$T/$way/pods/web"
		echo 0 >"$T/$way/pods/web/grace"
		becomes "$T/$way/bin/podfs-server" "$([ $way = kill ] && echo 'kill -9 $$' || echo 'exit 1')"
		server=$(pgrep -P "$(keeper_of $way)" -x podfs-server)
		kill -9 "$server"
	done
	wait $foreground || code=$?
	[ $code -eq 1 ]
	for way in exit kill; do within 60 ended_or_zombie "$(keeper_of $way)"; done
	for way in exit kill stay; do
		grep -q " $T/$way/pods .* fuse.podfs " /proc/self/mountinfo
		fails 'not connected' ls "$T/$way/pods"
		fails 'not connected' mkdir "$T/$way/pods/oops"
		server_again $way
	done
	for way in "$T/exit/state/podfs.log" "$T/kill/state/podfs.log" "$T/err"; do has 'every access is ENOTCONN' "$way"; done
	[ "$(grep -c 'does not start' "$T/kill/state/podfs.log")" -eq 11 ]
	run mount_way exit
	[ "$status" -eq 0 ]
	[[ $output == *died* ]]
	for way in kill stay; do
		umount "$T/$way/pods"
		[ -z "$(ls -A "$T/$way/pods")" ]
		mount_way $way
	done
	for way in exit kill stay; do
		is Pending "$T/$way/pods/web/status"
		rmdir "$T/$way/pods/web"
		within 10 nobody_leaves $way
		umount "$T/$way/pods"
	done
	within 10 no_process_left
}
mount_way() {
	local way=$1
	shift
	PODFS_LIBEXEC=$T/$way/bin timeout 60 "$podfs" "$@" -o "state=$T/$way/state,run=$T/$way/run,cgroup=$CG-$way" "$T/$way/pods"
}
server_again() { ln -sf "$(realpath "$PODFS_BUILD/fs/podfs-server")" "$T/$1/bin/podfs-server"; }
keeper_of() { sed 's/ .*//;q' "$T/$1/state/lock"; }
nobody_leaves() { [ -z "$(cat "$T/$1/pods/.node/leaving")" ]; }
# becomes PROGRAM COMMAND: a script in its place
becomes() {
	printf '#!/bin/sh\n%s\n' "$2" >"$1.new"
	chmod 755 "$1.new"
	mv "$1.new" "$1"
}

@test "the keeper dies: the server goes on, nobody else gets its state" {
	mount_podfs
	kill -9 "$(keeper_pid)"
	timeout 5 ls "$P/.node" >/dev/null
	mkdir "$T/other"
	run -1 timeout 30 "$podfs" -o "$(options)" "$T/other"
	[[ $output == *"in use"* ]]
	umount "$P"
	within 10 no_process_left
	mount_podfs
}

@test "a second one: same mount point, same state" {
	mount_podfs
	run -1 timeout 30 "$podfs" -o "$(options)" "$P"
	[[ $output == *"already mounted"* ]]
	mkdir "$T/other"
	run -1 timeout 30 "$podfs" -o "$(options)" "$T/other"
	[[ $output == *"in use"*"$P"* ]]
	[ "${#lines[@]}" -eq 1 ]
}

@test "two instances do not meet" {
	mount_podfs
	mkdir "$T/p2"
	timeout 30 "$podfs" -o "state=$T/s2,run=$T/r2,cgroup=$CG-2" "$T/p2"
	mkdir "$P/web" "$T/p2/web"
	echo 11 >"$P/web/grace"
	is 30 "$T/p2/web/grace"
	rmdir "$P/web"
	is Pending "$T/p2/web/status"
	rmdir "$T/p2/web"
	within 5 second_is_empty
	umount "$T/p2"
}
second_is_empty() { [ -z "$(cat "$T/p2/.node/leaving")" ]; }

@test "what is wrong is one line, and leaves no mount and no process" {
	local bad
	# OPTIONS|MOUNTPOINT|STATUS|WORDS
	while IFS='|' read -r options place code words; do
		run timeout 30 "$podfs" -o "$(options "$options")" ${place:-"$P"}
		[ "$status" -eq "$code" ]
		[ "${#lines[@]}" -eq 1 ] || { echo "$options: $output"; return 1; }
		[[ $output == *"$words"* ]] || { echo "$options: $output"; return 1; }
		run ! mounted
	done <<-END
		nosuchoption||2|nosuchoption
		nosuch=1||2|nosuch
		kernel_cache=1||2|kernel_cache
		attr_timeout||2|attr_timeout
		uid=1000||2|option uid: podfs shows true owners
		gid=0||2|option gid
		umask=022||2|option umask
		allow_root||2|option allow_root
		max_pods=many||2|max_pods
		state=relative||2|state
		grace=soon||2|grace
		users=root nosuch_user||2|users: there is no user nosuch_user
		config=/no/such/file||1|/no/such/file
		|/no/such/place|1|/no/such/place
		|/etc/passwd|1|/etc/passwd
	END
	run -2 "$podfs"
	run -2 "$podfs" a b c
	run -2 "$podfs" -x
	no_process_left
}

@test "a state folder in its own tree is refused" {
	run "$podfs" -o "state=$P/below,run=$T/run" "$P"
	[ "$status" -ne 0 ]
	[[ $output == *below* ]]
	run ! mounted
}

@test "the config: keys, an error with file and line" {
	cat >"$T/podfs.conf" <<-END
		; a comment
		[node]
		state = $T/state
		run = $T/run
		cgroup = $CG
		grace = 7
		max_pods = 2
		restart = Always
	END
	timeout 30 "$podfs" -o "config=$T/podfs.conf" "$P"
	has '^grace *= *7$' "$P/.node/config"
	mkdir "$P/a" "$P/b"
	is 7 "$P/a/grace"
	is Always "$P/a/restart"
	run ! mkdir "$P/c"
	grep -q max_pods "$P/.node/error"
	rmdir "$P/a" "$P/b"
	within 5 none_leaving
	unmount_podfs
	# -o wins
	timeout 30 "$podfs" -o "config=$T/podfs.conf,grace=8" "$P"
	has '^grace *= *8$' "$P/.node/config"
	unmount_podfs
	local pair
	for pair in 'nosuchkey = 1' 'grace = soon' 'restart = Perhaps' 'max_pods' 'users = root nosuch_user' $'[nosection]\nx = 1'; do
		printf '[node]\nmax_pods = 3\n%s\n' "$pair" >"$T/bad.conf"
		run timeout 30 "$podfs" -o "$(options "config=$T/bad.conf")" "$P"
		[ "$status" -eq 2 ]
		[[ $output == *"$T/bad.conf:"[34]:* ]] || { echo "$pair: $output"; return 1; }
		[ "${#lines[@]}" -eq 1 ]
	done
	run ! mounted
}

@test "a config of long lines loses nothing" {
	printf '[node]\nusers = root%s nobody\n' "$(printf ' 1000%d' $(seq 1 400))" >"$T/podfs.conf"
	run timeout 30 "$podfs" -o "$(options "config=$T/podfs.conf")" "$P"
	if [ "$status" -eq 0 ]; then
		has '^users *= *root 10001 .*1000400 nobody$' "$P/.node/config"
	else
		[[ $output == *"$T/podfs.conf:2:"* ]]
	fi
}

@test "mount(8) options, and what mount.fuse3 hands over" {
	mount_podfs rw,suid,dev,exec,noatime,_netdev,nofail,x-systemd.automount,comment=hello,allow_other,default_permissions,fsname=other,subtype=podfs,max_read=65536
	grep -q " $P .*nosuid,nodev,noatime.* fuse.podfs other " /proc/self/mountinfo
	unmount_podfs
	timeout 30 "$podfs" podfs "$P" -o "$(options rw,dev,suid)"
	[ -d "$P/.node" ]
	unmount_podfs
	mount_podfs ro
	fails 'Read-only' mkdir "$P/web"
	ls "$P/.node" >/dev/null
}

@test "what every FUSE file system takes: hints are accepted and change nothing" {
	local hints=kernel_cache,auto_cache,noauto_cache,attr_timeout=1.5,entry_timeout=60,negative_timeout=0,ac_attr_timeout=1
	hints+=,remember=60,noforget,direct_io,big_writes,large_read,async_read,sync_read,clone_fd,max_idle_threads=5,max_threads=8
	hints+=,max_write=4096,max_readahead=0,max_background=1,congestion_threshold=1,hard_remove,intr,intr_signal=10,use_ino,readdir_ino
	hints+=,splice_read,splice_write,splice_move,no_splice_read,no_splice_write,no_splice_move,nonempty
	mount_podfs "$hints,lazytime,nolazytime,strictatime,user,user=root,noauto,auto,nofail,_netdev,x-systemd.automount,comment=hello"
	mkdir "$P/web"
	is Pending "$P/web/status"
	echo 7 >"$P/web/grace"
	is 7 "$P/web/grace"
}

@test "mount -t fuse.podfs" {
	[ -x /sbin/mount.fuse3 ] || skip "there is no mount.fuse3"
	# mount.fuse3 looks for podfs in a PATH of its own: it is given one, in a mount namespace of this test
	unshare -m bash -ec '
		mount -t tmpfs x /usr/local/bin
		printf "#!/bin/sh\nPODFS_LIBEXEC=%s exec %s \"\$@\"\n" "$(readlink -f "$4/fs")" "$(readlink -f "$1")" > /usr/local/bin/podfs
		chmod 755 /usr/local/bin/podfs
		mount -t fuse.podfs podfs "$2" -o "$3"
		grep -q " $2 .* fuse.podfs podfs " /proc/self/mountinfo
		[ -d "$2/.node" ]
		mkdir "$2/web"
		[ "$(cat "$2/web/status")" = Pending ]
		rmdir "$2/web"
		timeout 10 sh -c "until [ -z \"\$(cat $2/.node/leaving)\" ]; do :; done"
		umount "$2"
		! mount -t fuse.podfs podfs "$2" -o "$3,nosuch=1"
	' _ "$podfs" "$P" "$(options)" "$PODFS_BUILD"
	within 10 no_process_left
}

@test "podfs --version and --help" {
	[[ $("$podfs" --version) == "podfs "[0-9]* ]]
	"$podfs" --help | grep -q 'usage: podfs'
}

@test "it holds nothing of who started it" {
	exec 8>"$T/held"
	mount_podfs
	exec 8>&-
	run ! bash -c "ls -l /proc/$(keeper_pid)/fd /proc/$(server_pid)/fd | grep held"
	[ "$(readlink "/proc/$(keeper_pid)/cwd")" = / ]
	[ "$(ps -o sid= -p "$(keeper_pid)" | tr -d ' ')" = "$(keeper_pid)" ]
}
