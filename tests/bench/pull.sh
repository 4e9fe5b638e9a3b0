# shellcheck shell=bash disable=SC2034,SC2154,SC2086
# Pulls of the same image by each peer into an empty store, or into one that has half of its layers. Sourced by tests/bench/run,
# runs inside the place (place.sh).
#
# The image is big.tar of tests/images: 8 layers, 150 MB, from Debian's docker-registry on the place's loopback. Each peer has a store and daemons of
# its own, made anew for each round (not timed): on a tmpfs, or below $S with PULL_STORE=disk. All that works for a peer runs in a
# cgroup of its own, whose CPU time counts; the registry's does not. Memory is the largest sum of anonymous memory of the group's
# processes, sampled in the first round, which is not timed.

REGISTRY=localhost:5005
PULL=$R/pull
[ "${PULL_STORE:-}" != disk ] || PULL=$S/pull

# --- the registry ---

pull_setup() {
	"$top/tests/images/build" -b "$S/images" >/dev/null
	mkdir -p "$S/registry"
	printf 'version: 0.1\nlog: { level: error, accesslog: { disabled: true } }\nstorage: { filesystem: { rootdirectory: %s } }\nhttp: { addr: %s }\n' \
		"$S/registry" "$REGISTRY" >"$S/registry.yml"
}
registry_up() {
	local tag
	curl -sf "http://$REGISTRY/v2/" >/dev/null || {
		OTEL_TRACES_EXPORTER=none daemon registry docker-registry serve "$S/registry.yml"
		until_works curl -sf "http://$REGISTRY/v2/" || return 1
	}
	for tag in latest half; do
		skopeo copy -q --dest-tls-verify=false "oci-archive:$S/images/big.tar:$tag" "docker://$REGISTRY/big:$tag" || return 1
	done
	skopeo inspect --tls-verify=false --raw "docker://$REGISTRY/big:latest" | jq -r '.layers[].digest' >"$S/big.layers"
}

# --- the group that a peer works in ---

pull_group() {
	if [ -d /sys/fs/cgroup/cpuacct ]; then echo "/sys/fs/cgroup/cpuacct/pull-$1"; else echo "/sys/fs/cgroup/$group-pull-$1"; fi
}
# grouped PEER COMMAND…
grouped() {
	local g
	g=$(pull_group "$1")
	shift
	mkdir -p "$g"
	(echo $BASHPID >"$g/cgroup.procs" && exec "$@")
}
# In the background, its output in a file.
pull_daemon() { grouped "$1" setsid "${@:2}" >>"$S/pull-$1-$2.log" 2>&1 </dev/null & }
pull_group_empty() { [ -z "$(cat "$(pull_group "$1")/cgroup.procs" 2>/dev/null)" ]; }
cpu_us() {
	local g
	g=$(pull_group "$1")
	if [ -e "$g/cpuacct.usage" ]; then echo $(($(cat "$g/cpuacct.usage") / 1000)); else sed -n 's/^usage_usec //p' "$g/cpu.stat"; fi
}
# Until its stdin ends: the largest sum in KiB.
sample_memory() {
	local g now max=0
	g=$(pull_group "$1")
	while read -rt 0.01; [ $? -gt 128 ]; do
		now=$(sed 's|.*|/proc/&/status|' "$g/cgroup.procs" 2>/dev/null | xargs -r awk '/^RssAnon:/ { s += $2 } END { print s + 0 }' 2>/dev/null)
		[ "${now:-0}" -le $max ] || max=$now
	done
	echo $max
}

# --- the peers: an empty store and its daemons, the pull, the end ---

pull_peers() {
	local p
	for p in podfs podman docker ctr; do has $p && echo $p; done
	have igzip && echo floor
	have skopeo && echo skopeo
}
pull_name() {
	case $1 in
	podfs) echo "podfs: echo image, cat wait/running" ;;
	docker | podman) echo "$1 pull" ;;
	ctr) echo "ctr image pull" ;;
	floor) echo "floor: curl, igzip, tar, unverified" ;;
	skopeo) echo "skopeo copy to oci:, packed" ;;
	esac
}
pull_fresh() {
	mkdir -p "$PULL/$1"
	case $1 in
	podfs)
		mkdir -p "$PULL/pods"
		grouped podfs "$build/tools/podfs" -o "state=$PULL/podfs,run=$R/pull-run,cgroup=pull" "$PULL/pods"
		mkdir "$PULL/pods/x" "$PULL/pods/x/containers/x"
		;;
	ctr)
		sed "s|^root = .*|root = \"$PULL/ctr\"|;s|$R/containerd|$R/pull-ctr|g" "$S/containerd.toml" >"$S/pull-ctr.toml"
		pull_daemon ctr containerd -c "$S/pull-ctr.toml" -l warn
		until_works $PULL_CTR version
		;;
	docker)
		sed "s|^root = .*|root = \"$PULL/docker/containerd\"|;s|$R/containerd|$R/pull-dctr|g" "$S/containerd.toml" >"$S/pull-dctr.toml"
		pull_daemon docker containerd -c "$S/pull-dctr.toml" -l warn
		until_works ctr -a "$R/pull-dctr.sock" version
		pull_daemon docker dockerd --data-root "$PULL/docker/data" --exec-root "$R/pull-docker" -H "unix://$R/pull-docker.sock" \
			-p "$R/pull-docker.pid" --containerd "$R/pull-dctr.sock" --log-level warn --bridge none --iptables=false
		until_works $PULL_DOCKER version
		;;
	esac
	mkdir -p "$(pull_group "$1")"
}
PULL_CTR="ctr -a $R/pull-ctr.sock"
PULL_DOCKER="/usr/bin/docker -H unix://$R/pull-docker.sock"

# What is timed: pull_do PEER TAG
pull_do() {
	local ref=$REGISTRY/big:$2
	case $1 in
	podfs) grouped podfs sh -c "echo $ref >$PULL/pods/x/containers/x/image && cat $PULL/pods/x/containers/x/wait/running" ;;
	podman) grouped podman podman --root "$PULL/podman" --runroot "$R/pull-podman" pull -q --tls-verify=false "$ref" ;;
	docker) grouped docker $PULL_DOCKER pull -q "$ref" ;;
	ctr) grouped ctr $PULL_CTR image pull --plain-http "$ref" ;;
	floor) grouped floor bash -c 'while read -r h; do { mkdir -p "$1/${h#*:}"; curl -sf "http://$2/v2/big/blobs/$h" | igzip -dc | tar -C "$1/${h#*:}" -x; } & done <"$3"; wait' \
		_ "$PULL/floor" "$REGISTRY" "$S/big.layers" ;;
	skopeo) grouped skopeo skopeo copy -q --src-tls-verify=false "docker://$ref" "oci:$PULL/skopeo:x" ;;
	esac >>"$S/pull.log" 2>&1
}
# pull_half PEER: half of the layers are there. The floor and skopeo know no layers from before.
pull_half() {
	case $1 in
	podfs)
		echo "$REGISTRY/big:half" >"$PULL/pods/.node/pull"
		until_works sh -c "[ ! -s $PULL/pods/.node/pull ] && grep -q sha256: $PULL/pods/.node/images/$REGISTRY/big:half"
		;;
	floor | skopeo) return 1 ;;
	*) pull_do "$1" half ;;
	esac
}
pull_end() {
	local m pid
	if [ "$1" = podfs ]; then
		echo 0 >"$PULL/pods/x/grace"
		rmdir "$PULL/pods/x"
		until_works [ ! -s "$PULL/pods/.node/leaving" ]
		umount "$PULL/pods"
	fi
	for pid in $(cat "$(pull_group "$1")/cgroup.procs" 2>/dev/null); do kill "$pid"; done 2>/dev/null
	until_works pull_group_empty "$1" || return 1
	for m in $(awk -v at="$PULL/$1/" 'index($2, at) == 1 { print $2 }' /proc/mounts | sort -r); do umount "$m"; done
	rm -rf --one-file-system "${PULL:?}/$1" "$R/pull-podman"
}

# --- the test ---

# One pull: leaves wall and CPU time in us and the store's MB in files; in round 0 the memory.
pull_once() { # TEST PEER ROUND
	local at cpu out=$S/pull.$1.$2
	pull_fresh "$2"
	if [ "$1" = pull-half ] && ! pull_half "$2"; then
		pull_end "$2"
		return 2
	fi
	exec {sampling}> >(:)
	[ "$3" -ne 0 ] || exec {sampling}> >(sample_memory "$2" >"$out.memory")
	cpu=$(cpu_us "$2")
	at=${EPOCHREALTIME/./}
	if pull_do "$2" latest; then
		at=$((${EPOCHREALTIME/./} - at))
		[ "$3" -eq 0 ] || { echo $at >>"$out.wall"; echo $(($(cpu_us "$2") - cpu)) >>"$out.cpu"; }
		[ "$3" -ne 0 ] || du -sxk "$PULL/$2" | cut -f1 >"$out.disk"
	else
		echo failed >>"$out.failed"
	fi
	exec {sampling}>&-
	pull_end "$2"
}
# medians TEST QUANTITY DIVISOR: lines as interleave's
medians() {
	local p f
	for p in $(pull_peers); do
		f=$S/pull.$1.$p
		[ ! -e "$f.$2" ] || sort -n "$f.$2" | awk -v OFS='\t' -v t="$1 $2" -v name="$(pull_name $p)" -v by="$3" -v bad="$(cat "$f.failed" 2>/dev/null | wc -l)" \
			'{ v[NR] = $1 / by } END { print t, name, v[int((NR + 1) / 2)], v[1], v[NR], NR, bad }'
	done | tee -a "$results" | table
}
test_pulls() { # pull|pull-half
	local r i peers
	registry_up || return 1
	rm -f "$S/pull.$1".*
	mapfile -t peers < <(pull_peers)
	echo "-- $1 into ${PULL_STORE:-memory}, load $(cut -d' ' -f1 /proc/loadavg)"
	for ((r = 0; r <= PULL_ROUNDS; r++)); do
		for ((i = 0; i < ${#peers[@]}; i++)); do pull_once "$1" "${peers[(i + r) % ${#peers[@]}]}" $r; done
	done
	echo "ms, first byte to ready to run"; medians "$1" wall 1000
	echo "ms of CPU"; medians "$1" cpu 1000
	echo "MB of disk"; medians "$1" disk 1000
	echo "MB of memory"; medians "$1" memory 1000
}
