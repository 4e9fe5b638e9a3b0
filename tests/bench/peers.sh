# shellcheck shell=bash disable=SC2034,SC2154,SC2086
# The peers: how each is set up and what it is told. Sourced by tests/bench/run; all but setup runs inside the
# place (place.sh).
#
# Each uses what Debian 12 ships, with its daemon where it has one, without a network bridge (those are in net.sh),
# and the same image: busybox and the payload, one layer.

IMAGE=localhost/bb:1
P=$S/pods                                        # podfs's mount point
LXC=$S/lxc
PODMAN=podman
DOCKER="/usr/bin/docker -H unix://$R/docker.sock"
CTR="ctr -a $R/containerd.sock"
CRUN="crun --cgroup-manager=cgroupfs --root $R/crun"
build=${PODFS_BUILD:-$S/build}
export CONTAINERS_CONF=$S/containers.conf CONTAINERS_STORAGE_CONF=$S/storage.conf

packages="podman crun conmon netavark containerd docker.io lxc bubblewrap busybox-static jq iptables uidmap
	docker-registry skopeo curl isal iproute2 iperf3 containernetworking-plugins"

have() { command -v "$1" >/dev/null; }
wanted() { [[ $1 =~ ${PEERS:-.} ]]; }

# --- set-up ---

make_rootfs() {
	local root=$S/rootfs a
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,root,run,sbin,var/log}
	cp /bin/busybox "$root/bin/busybox"
	for a in $(/bin/busybox --list); do [ "$a" = busybox ] || ln -s busybox "$root/bin/$a"; done
	for a in pause true lines; do rm -f "$root/bin/$a"; cp "$S/build/tests/bench/payload" "$root/bin/$a"; done
	ln -s ../bin/pause "$root/sbin/init"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	touch "$root/etc/resolv.conf" "$root/etc/hosts" "$root/etc/hostname"
}

# As `docker save` writes it: all but crun, lxc and bwrap read this one.
make_archive() {
	local d=$S/archive sum
	rm -rf "$d"
	mkdir -p "$d"
	tar -C "$S/rootfs" --numeric-owner -cf "$d/layer.tar" .
	sum=$(sha256sum "$d/layer.tar" | cut -c1-64)
	printf '{"architecture":"%s","os":"linux","config":{"Cmd":["/bin/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$(dpkg --print-architecture)" "$sum" >"$d/config.json"
	printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' $IMAGE >"$d/manifest.json"
	tar -C "$d" -cf "$S/bb.tar" manifest.json config.json layer.tar
	rm -rf "$d"
}

# Root without CAP_SYS_RESOURCE can't raise limits, so podman is told those that hold.
make_config() {
	local files procs
	files=$(ulimit -Hn) procs=$(ulimit -Hu)
	[ "$procs" != unlimited ] || procs=$(cat /proc/sys/kernel/pid_max)
	cat >"$S/containers.conf" <<-E
		[containers]
		log_driver = "k8s-file"
		log_size_max = -1
		default_ulimits = [ "nofile=$files:$files", "nproc=$procs:$procs" ]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "crun"
		tmp_dir = "$R/libpod"
		[network]
		network_backend = "netavark"
		network_config_dir = "$S/networks"
	E
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$S/podman" "$R/podman" >"$S/storage.conf"
	printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
		"$S/containerd" "$R/containerd" "$R/containerd.sock" >"$S/containerd.toml"
	printf '[node]\nnetwork = none\nlog_max = 1G\nlog_files = 2\n' >"$S/podfs.conf"
	cat >"$S/filled" <<-'E'
		#!/bin/bash
		# filled FILE BYTES: waits until the file has them all
		while [ "$(stat -c %s "$1")" -lt "$2" ]; do read -rt 0.005 <> <(:); done
		exit 0
	E
	chmod +x "$S/filled"
}

setup() {
	apt-get install -y --no-install-recommends $packages || return 1
	mkdir -p "$S" "$P"
	[ -e "$S/build/build.ninja" ] || meson setup "$S/build" "$top" || return 1
	meson compile -C "$S/build" podfs podfs-server podfs-pod podfs-image podfs-net interleave answered payload logpump || return 1
	rm -rf "$S"/{podfs,podman,docker,containerd} # images of another build
	make_rootfs && make_archive && make_config && pull_setup
}

# --- daemons and images ---

# daemon NAME COMMAND…: in the background, its output in a file
daemon() {
	local name=$1
	shift
	setsid "$@" >"$S/$name.log" 2>&1 </dev/null &
}
# until_works COMMAND…: for ten seconds
until_works() {
	local i
	for ((i = 0; i < 200; i++)); do
		"$@" >/dev/null 2>&1 && return
		read -rt 0.05 <> <(:)
	done
	echo "bench: gave up waiting for: $*" >&2
	return 1
}

up_containerd() {
	$CTR version >/dev/null 2>&1 || {
		daemon containerd containerd -c "$S/containerd.toml" -l warn
		until_works $CTR version || return 1
	}
	$CTR image ls -q | grep -qx $IMAGE || $CTR image import "$S/bb.tar" >/dev/null
}
up_docker() {
	$DOCKER version >/dev/null 2>&1 || {
		daemon docker dockerd --data-root "$S/docker" --exec-root "$R/docker" -H "unix://$R/docker.sock" -p "$R/docker.pid" \
			--containerd "$R/containerd.sock" --log-level warn --exec-opt native.cgroupdriver=cgroupfs --bridge none --iptables=false
		until_works $DOCKER version || return 1
	}
	$DOCKER image inspect $IMAGE >/dev/null 2>&1 || $DOCKER load -qi "$S/bb.tar" >/dev/null
}
up_podman() { $PODMAN image exists $IMAGE || $PODMAN load -qi "$S/bb.tar" >/dev/null; }
up_podfs() {
	mountpoint -q "$P" || "$build/tools/podfs" -o "state=$S/podfs,run=$R/podfs,config=$S/podfs.conf" "$P" || return 1
	[ -e "$P/.node/images/$IMAGE" ] || { mkdir -p "$P/.node/images/${IMAGE%/*}" && cp "$S/bb.tar" "$P/.node/images/$IMAGE"; }
}

peers_up() {
	mkdir -p "$R"
	have crun && wanted crun && have_crun=1
	have bwrap && wanted bwrap && have_bwrap=1
	have lxc-start && wanted lxc && have_lxc=1
	have podman && wanted podman && up_podman && have_podman=1
	have containerd && wanted 'ctr|docker' && up_containerd && have_ctr=1
	have dockerd && wanted docker && [ -n "${have_ctr:-}" ] && up_docker && have_docker=1
	[ -x "$build/tools/podfs" ] && wanted podfs && up_podfs && have_podfs=1
	wanted ctr || have_ctr=
	return 0
}

# What would be found again by the next place: containers in stores, pods in records.
peers_down() {
	local c
	if mountpoint -q "$P"; then
		for c in "$P"/*; do rmdir "$c"; done
		until_works [ ! -s "$P/.node/leaving" ]
		umount "$P"
	fi
	have podman && { $PODMAN pod rm -af -t 0; $PODMAN rm -af -t 0; } >/dev/null 2>&1
	[ -S "$R/docker.sock" ] && for c in $($DOCKER ps -aq); do $DOCKER rm -f "$c"; done >/dev/null 2>&1
	if [ -S "$R/containerd.sock" ]; then
		for c in $($CTR task ls -q); do $CTR task rm -f "$c"; done >/dev/null 2>&1
		for c in $($CTR container ls -q); do $CTR container rm "$c"; done >/dev/null 2>&1
	fi
	rm -f "$S"/{plain,crun,lxc-lg}.log
}
has() { local v=have_$1; [ -n "${!v:-}" ]; }

# --- what runs all the while, named sbx: a sandbox with a container that pauses ---

lxc_config() { # NAME [INIT]
	mkdir -p "$LXC/$1/upper"
	cat >"$LXC/$1/config" <<-E
		lxc.rootfs.path = overlay:$S/rootfs:$LXC/$1/upper
		lxc.uts.name = $1
		lxc.net.0.type = empty
		lxc.init.cmd = ${2:-/bin/pause}
		lxc.mount.auto = proc:mixed sys:mixed
		lxc.pty.max = 4
		lxc.tty.max = 0
		lxc.console.path = none
		lxc.cap.keep = chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill audit_write
	E
}
bundle() { # NAME ARGV-JSON [PID]: with PID in that process's network, IPC and UTS namespaces
	local b=$S/bundle/$1
	mkdir -p "$b"
	[ -f "$S/bundle/config.json" ] || (cd "$S/bundle" && crun spec)
	jq --argjson argv "$2" --arg root "$S/rootfs" --arg pid "${3:-}" '
		.process.terminal = false | .process.args = $argv | .process.rlimits = [] | .root.path = $root | .root.readonly = true
		| .mounts |= map(select(.type != "cgroup"))
		| if $pid == "" then . else del(.hostname) | .linux.namespaces |= map(
			if .type | IN("network", "ipc", "uts") then .path = "/proc/\($pid)/ns/\({network: "net"}[.type] // .type)" else . end) end' \
		"$S/bundle/config.json" >"$b/config.json"
}

fixtures_up() {
	has podman && ! $PODMAN pod exists sbx &&
		{ $PODMAN pod create --network none --name sbx && $PODMAN run -d --name sbx-c --pod sbx $IMAGE /bin/pause; } >/dev/null
	has docker && ! $DOCKER inspect sbx >/dev/null 2>&1 &&
		$DOCKER run -d --name sbx --network none --ipc shareable $IMAGE /bin/pause >/dev/null
	has ctr && ! $CTR task ls -q | grep -qx sbx && $CTR run -d $IMAGE sbx /bin/pause
	if has lxc; then
		lxc_config sbx
		lxc_config lx
		[ "$(lxc-info -P "$LXC" -n sbx -sH)" = RUNNING ] || lxc-start -P "$LXC" -n sbx -d
		lxc_pid=$(lxc-info -P "$LXC" -n sbx -pH)
	fi
	if has crun; then
		bundle pause '["/bin/pause"]'
		$CRUN state sbx >/dev/null 2>&1 || $CRUN run -d -b "$S/bundle/pause" sbx </dev/null >/dev/null 2>&1
		crun_pid=$($CRUN state sbx | jq .pid)
		bundle true '["/bin/true"]' "$crun_pid"
	fi
	if has podfs && [ ! -e "$P/sbx" ]; then
		mkdir "$P/sbx" "$P/sbx/containers/c"
		echo /bin/pause >"$P/sbx/containers/c/command"
		echo $IMAGE >"$P/sbx/containers/c/image"
		cat "$P/sbx/containers/c/wait/running" >/dev/null
	fi
	has ctr && ctr_pid=$($CTR task ls | awk '$1 == "sbx" { print $2 }')
	return 0
}

# --- the lines of each test, for interleave: NAME|PREPARE|COMMAND|AFTER ---

lines_sandbox() {
	has lxc && lxc_config b
	has crun && bundle pause '["/bin/pause"]'
	has podfs && echo "podfs||mkdir $P/b@U|rmdir $P/b@U"
	has podman && echo "podman pod||$PODMAN pod create --network none --name b@U && $PODMAN pod start b@U|$PODMAN pod rm -f -t 0 b@U"
	has docker && echo "docker run -d||$DOCKER run -d --network none --name b@U $IMAGE /bin/pause|$DOCKER rm -f b@U"
	has ctr && echo "ctr run -d||$CTR run -d $IMAGE b@U /bin/pause|$CTR task kill -s 9 b@U; $CTR task rm -f b@U; $CTR container rm b@U"
	has lxc && echo "lxc-start||lxc-start -P $LXC -n b -d|lxc-stop -k -P $LXC -n b"
	has crun && echo "crun run -d||$CRUN run -d -b $S/bundle/pause b@U|$CRUN delete -f b@U"
	echo "floor: unshare -n -i -u true||unshare -n -i -u /bin/true|"
}

# define C COMMAND: the words that define a container in folder C
define() { echo "mkdir $1 && echo '$2' >$1/command"; }

lines_run() {
	local c=$P/sbx/containers/r@U ns=/proc/${ctr_pid:-}/ns pid=${lxc_pid:-}
	if has podfs; then
		local start="echo $IMAGE >$c/image && cat $c/wait/ended"
		echo "podfs: echo image, cat wait/ended|$(define $c /bin/true)|$start|rmdir $c"
		echo "podfs: mkdir to rmdir||$(define $c /bin/true) && $start && rmdir $c|"
	fi
	has podman && echo "podman run --pod||$PODMAN run --rm --pod sbx $IMAGE /bin/true|"
	has docker && echo "docker run, joins||$DOCKER run --rm --network container:sbx --ipc container:sbx $IMAGE /bin/true|"
	has ctr && echo "ctr run, joins||$CTR run --rm --with-ns network:$ns/net --with-ns ipc:$ns/ipc --with-ns uts:$ns/uts" \
		"$IMAGE r@U /bin/true|"
	has lxc && echo "lxc-execute, joins||lxc-execute -P $LXC -n lx --share-net $pid --share-ipc $pid --share-uts $pid -- /bin/true|"
	has crun && echo "crun run, joins (no overlay)||$CRUN run -b $S/bundle/true r@U|"
	has bwrap && echo "bwrap --unshare-all||bwrap --ro-bind $S/rootfs / --proc /proc --dev /dev --unshare-all /bin/true|"
	echo "floor: fork and exec||$S/rootfs/bin/true|"
}

lines_exec() {
	local s=$P/sbx/exec/s@U
	has podfs && echo "podfs: echo cmd, cat exit|mkdir $s|echo /bin/true >$s/cmd && cat $s/exit|rmdir $s"
	has podfs && echo "podfs: mkdir to rmdir||mkdir $s && echo /bin/true >$s/cmd && cat $s/exit && rmdir $s|"
	has podfs && echo "podfs: exec/NAME||exec 3<>$P/sbx/exec/c; echo exit >&3; cat <&3|"
	has podman && echo "podman exec||$PODMAN exec sbx-c /bin/true|"
	has docker && echo "docker exec||$DOCKER exec sbx /bin/true|"
	has ctr && echo "ctr task exec||$CTR task exec --exec-id e@U sbx /bin/true|"
	has lxc && echo "lxc-attach||lxc-attach -P $LXC -n sbx -- /bin/true|"
	has crun && echo "crun exec||$CRUN exec sbx /bin/true|"
	has crun && echo "nsenter||nsenter -t $crun_pid -m -u -i -n -p -C -r -w /bin/true|"
}

# One cat of the file a thousand times shows the file's share of it.
thousand() {
	for ((i = 0; i < 1000; i++)); do echo "$2"; done >"$S/thousand.$1"
	echo "xargs -a $S/thousand.$1 cat"
}

lines_status() {
	local cgroup_file=/sys/fs/cgroup/memory/memory.usage_in_bytes
	[ -e $cgroup_file ] || cgroup_file=/sys/fs/cgroup/cgroup.procs
	has podfs && echo "podfs: cat status||cat $P/sbx/status|"
	has podfs && echo "podfs: cat state||cat $P/sbx/containers/c/state|"
	echo "cat of a cgroup file||cat $cgroup_file|"
	has podfs && echo "podfs: cat of 1000 times status||$(thousand podfs "$P/sbx/status")|"
	echo "cat of 1000 times a cgroup file||$(thousand cgroup $cgroup_file)|"
	has podman && echo "podman inspect||$PODMAN inspect -f {{.State.Status}} sbx-c|"
	has docker && echo "docker inspect||$DOCKER inspect -f {{.State.Status}} sbx|"
	has ctr && echo "ctr task ls||$CTR task ls|"
	has lxc && echo "lxc-info||lxc-info -P $LXC -n sbx -sH|"
	has crun && echo "crun state||$CRUN state sbx|"
}

# From the start until the last byte is in the file; podfs says `ended` only then.
lines_write() {
	local c=$P/sbx/containers/lg b=$BYTES log=$S/lxc-lg.log filled=$S/filled
	local podman_log="\`$PODMAN inspect -f '{{.HostConfig.LogConfig.Path}}' lg\`"
	local docker_log="\`$DOCKER inspect -f '{{.LogPath}}' lg\`"
	has podfs && echo "podfs|$(define $c "/bin/lines $b")|echo $IMAGE >$c/image && cat $c/wait/ended|rmdir $c"
	has podman && echo "podman||$PODMAN run -d --name lg $IMAGE /bin/lines $b && $PODMAN wait lg && $filled $podman_log $b|" \
		"$PODMAN rm -f lg"
	has docker && echo "docker||$DOCKER run -d --network none --name lg $IMAGE /bin/lines $b && $DOCKER wait lg &&" \
		"$filled $docker_log $b|$DOCKER rm -f lg"
	if has lxc; then
		lxc_config lg "/bin/lines $b"
		sed -i "s|^lxc.console.path.*|lxc.console.logfile = $log|" "$LXC/lg/config"
		echo "lxc, its console log|rm -f $log|lxc-start -P $LXC -n lg -d && lxc-wait -P $LXC -n lg -s STOPPED -t 60 &&" \
			"$filled $log $b|rm -f $log"
	fi
	if has crun; then
		bundle lines "[\"/bin/lines\",\"$b\"]"
		echo "crun, cat into a file||$CRUN run -b $S/bundle/lines lg@U \\| cat >$S/crun.log|rm -f $S/crun.log"
		echo "crun, the file itself||$CRUN run -b $S/bundle/lines lg@U >$S/crun.log|rm -f $S/crun.log"
	fi
}

# Each writes a log once, which stays.
logs_up() {
	local c=$P/sbx/containers/lr
	if has podfs && [ ! -e "$c" ]; then
		mkdir "$c"
		echo "/bin/lines $BYTES" >"$c/command"
		echo $IMAGE >"$c/image"
		cat "$c/wait/ended"
	fi
	has podman && ! $PODMAN container exists lr && $PODMAN run -d --name lr $IMAGE /bin/lines "$BYTES" && $PODMAN wait lr
	has docker && ! $DOCKER inspect lr && $DOCKER run -d --network none --name lr $IMAGE /bin/lines "$BYTES" && $DOCKER wait lr
	[ -e "$S/plain.log" ] || "$S/rootfs/bin/lines" "$BYTES" >"$S/plain.log"
}

# The whole log through the client to /dev/null.
lines_read() {
	logs_up >/dev/null 2>&1
	has podfs && echo "podfs: cat logs/NAME||cat $P/sbx/logs/lr|"
	has podfs && echo "podfs: cat NAME.stdout||cat $P/sbx/logs/lr.stdout|"
	has podfs && echo "podfs: cat NAME.timestamps||cat $P/sbx/logs/lr.timestamps|"
	has podman && echo "podman logs||$PODMAN logs lr|"
	has docker && echo "docker logs||$DOCKER logs lr|"
	echo "cat of a plain file||cat $S/plain.log|"
}

# --- idle ---

# How N idle ones of a peer are made and removed; $i is the number.
idle_up() {
	case $1 in
	podfs) mkdir "$P/d$i" ;;
	podfs-container)
		mkdir "$P/d$i" "$P/d$i/containers/c" && echo /bin/pause >"$P/d$i/containers/c/command" &&
			echo $IMAGE >"$P/d$i/containers/c/image"
		;;
	podman) $PODMAN pod create --network none --name "d$i" >/dev/null && $PODMAN pod start "d$i" >/dev/null ;;
	docker) $DOCKER run -d --network none --name "d$i" $IMAGE /bin/pause >/dev/null ;;
	ctr) $CTR run -d $IMAGE "d$i" /bin/pause ;;
	lxc) lxc_config "d$i" && lxc-start -P "$LXC" -n "d$i" -d ;;
	crun) $CRUN run -d -b "$S/bundle/pause" "d$i" </dev/null >/dev/null 2>&1 ;;
	esac
}
idle_down() {
	case $1 in
	podfs | podfs-container) rmdir "$P/d$i" ;;
	podman) $PODMAN pod rm -f -t 0 "d$i" ;;
	docker) $DOCKER rm -f "d$i" ;;
	ctr) $CTR task rm -f "d$i"; $CTR container rm "d$i" ;;
	lxc) lxc-stop -k -P "$LXC" -n "d$i"; rm -rf "${LXC:?}/d$i" ;;
	crun) $CRUN delete -f "d$i" ;;
	esac >/dev/null 2>&1
}
