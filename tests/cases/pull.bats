# The life of a pull: who waits and who does not, progress, what fails and is tried again, what dies in between.
# All from a registry that does as it is told (fake_registry.py).
# plain
# long

load lib
load registry

setup_file() {
	own_host
	start_fake
}
teardown_file() { stop_registries; }

setup() {
	new_instance
	node_home
	rm -rf "$FAKE/images"
	mkdir -p "$FAKE/images"
	rules
	requests_new
	serve busybox busybox
	mount_with_node "pull_backoff_base=0.1,pull_backoff_cap=1${MOUNT_OPTIONS:+,$MOUNT_OPTIONS}"
	ref=$(fake)/busybox
}

remount() {
	unmount_podfs
	mount_with_node "$1"
}
hold='/blobs/ stall 1000'
# held: the blob has begun to come
held() { within 20 requested /blobs/; }
nothing_pulled() {
	is '' "$P/.node/pull"
	within 10 no_fetcher
	[ -z "$(find "$T/state/images/tmp" -mindepth 1)" ]
}
no_fetcher() { [ -z "$(image_pids; skopeo_pids)" ]; }

@test "the write returns at once; states, why and wait/running until it is there" {
	rules "$hold"
	mkdir "$P/x"
	echo "$forever" >"$P/x/command"
	timeout 5 bash -c "echo '$ref' > '$P/x/image'"
	state_is x '^waiting.*ContainerCreating'
	is Pending "$P/x/status"
	held
	timeout 60 cat "$P/x/wait/running" >"$T/running" &
	local waiter=$!
	within 20 why_is x "$ref|ulling"
	has 'ulling' "$P/.node/pull"
	timeout 5 ls "$P" "$P/x" >/dev/null
	[ ! -s "$T/running" ]
	rules
	wait_for $waiter
	is Running "$P/x/status"
	is '' "$P/.node/pull"
	has ulled "$P/x/events"
	has_image "$(fake)/busybox"
}

@test "IfNotPresent keeps, Always looks again, Never does not fetch" {
	pod x "$ref" 'cat /arch'
	runs_to_end x
	grep -v Used "$P/.node/images/$ref" | grep -v Imported >"$T/first"
	# another image is now called so
	rm -r "$FAKE/images/busybox"
	serve multi busybox
	requests_new
	echo "$ref" >"$P/x/image"
	is 1 "$P/x/wait/ended"
	[ "$(requests .)" -eq 0 ]
	echo Always >"$P/x/pull"
	is Always "$P/x/pull"
	echo "$ref" >"$P/x/image"
	runs_to_end x
	is 0 "$P/x/wait/ended"
	[ "$(requests /manifests/)" -ge 1 ]
	has . "$P/x/logs/x"
	# unchanged: asked for, not fetched
	requests_new
	echo "$ref" >"$P/x/image"
	runs_to_end x
	[ "$(requests /manifests/)" -ge 1 ]
	[ "$(requests '/blobs/')" -le 1 ] # its config
	echo Never >"$P/x/pull"
	requests_new
	mkdir "$P/y"
	echo Never >"$P/y/pull"
	serve config other
	refused '' "$P/y/image" "$(fake)/other"
	has 'other' "$P/y/error"
	[ "$(requests .)" -eq 0 ]
	echo "$ref" >"$P/y/image"
	refused Invalid "$P/y/pull" Sometimes
}
runs_to_end() { timeout 30 cat "$P/$1/wait/ended" >/dev/null; }

@test "the config says how pods pull that say nothing" {
	remount pull=Never
	mkdir "$P/x" "$P/x/containers/x"
	is Never "$P/x/pull"
	fails '' bash -c "echo '$ref' > '$P/x/image'"
	[ "$(requests .)" -eq 0 ]
	remount pull=Always
	is Always "$P/x/pull"
	echo 'true' >"$P/x/command"
	echo "$ref" >"$P/x/image"
	runs_to_end x
	requests_new
	echo "$ref" >"$P/x/image"
	runs_to_end x
	[ "$(requests /manifests/)" -ge 1 ]
}

@test "one pull for five containers of three pods, by any spelling" {
	rules "$hold"
	local p c
	for p in a b; do
		mkdir "$P/$p" "$P/$p/containers/one" "$P/$p/containers/two"
		for c in one two; do echo "$forever" >"$P/$p/containers/$c/command"; done
	done
	pod c "$ref:latest" "$forever"
	echo "$ref" >"$P/a/containers/one/image"
	echo "docker://$ref" >"$P/a/containers/two/image"
	echo "$ref:latest" >"$P/b/containers/one/image"
	echo "$ref" >"$P/b/containers/two/image"
	echo "$ref" >"$P/.node/pull"
	held
	[ "$(grep -c "$ref" "$P/.node/pull")" -eq 1 ]
	rules
	for p in a b c; do runs $p; done
	[ "$(requests 'GET .*/blobs/')" -eq 2 ]
	nothing_pulled
}

@test "^C of who waits stops nobody's pull" {
	rules "$hold"
	pod x "$ref" "$forever"
	held
	env --default-signal=INT cat "$P/x/wait/running" &
	local reader=$!
	within 5 in_read $reader
	kill -INT $reader
	gone $reader
	run ! timeout 1 cat "$P/x/wait/running"
	pulling "$ref"
	rules
	runs x
	[ "$(requests '/blobs/')" -eq 2 ]
}
in_read() { grep -qs '^State:[[:space:]]*[SD]' "/proc/$1/status" && grep -qs . "/proc/$1/wchan"; }

@test "rm of what is being pulled stops it, and who waited is told" {
	rules "$hold"
	pod x "$ref" "$forever"
	held
	timeout 30 cat "$P/x/wait/running" >/dev/null 2>&1 &
	local reader=$!
	ls "$P/.node/images/$(fake)" | grep -q busybox
	rm "$P/.node/images/$ref"
	run ! wait_for $reader
	within 10 nothing_pulled
	run ! state_is x running
	run ! has_image "$(fake)/busybox"
	rules
	echo "$ref" >"$P/x/image"
	runs x
}

@test ".node/pull: fetched without a pod, how far it is, refused what is none" {
	serve nasty nasty
	rules '/blobs/ rate 400000'
	printf '%s\n' "$(fake)/nasty" "$ref" >"$P/.node/pull"
	within 20 pulling 'nasty.*[0-9]+(\.[0-9]+)? ?%'
	local first
	first=$(percent)
	within 20 further "$first"
	pulling 'nasty.*[0-9].*/s'
	has '[0-9]' "$P/.node/images/$(fake)/nasty"
	rules '/blobs/ rate 100000000'
	within 30 has_image "$(fake)/nasty"
	within 30 has_image "$(fake)/busybox"
	within 5 nothing_pulled
	refused Invalid "$P/.node/pull" 'NOT AN IMAGE'
	has 'NOT AN IMAGE|pull' "$P/.node/error"
	# nobody waits for it: it is tried again all the same
	rules '. status 500'
	echo "$(fake)/later" >"$P/.node/pull"
	within 10 pulling 'later.*500'
	serve config later
	rules
	within 20 has_image "$(fake)/later"
}
percent() { sed -nE 's/.*nasty.* ([0-9]+)(\.[0-9]+)? ?%.*/\1/p' "$P/.node/pull" | head -n 1; }
further() { local now; now=$(percent); [ -n "$now" ] && [ "$now" -gt "$1" ] && [ "$now" -le 100 ]; }

# breaks RULE WORDS: pulls under RULE fail for that cause, are tried again, and work once the registry is mended
breaks() {
	echo "# $1"
	rules "$1"
	pod x "$ref" "$forever"
	fails_to_run x
	within 20 why_is x "$2"
	within 20 state_is x '^waiting.*ErrImagePull'
	within 20 state_is x '^waiting.*ImagePullBackOff'
	within 20 pulling "$ref.*BackOff"
	has "$2" "$P/x/events"
	rules
	becomes_running x
	echo 0 >"$P/x/grace"
	rmdir "$P/x"
	within 10 none_leaving
	within 10 nothing_pulled
	rm "$P/.node/images/$ref"
	[ -z "$(layers)" ]
}

@test "what the registry says is why: 401, 404, 429, 500" {
	breaks '/manifests/ status 401' '401|nauthorized|redentials|authentication'
	breaks '/manifests/ status 404' 'no such|not known|unknown|not found'
	breaks '. status 429' '429|oo many requests'
	breaks '/blobs/ status 500' '500'
}

@test "what the network does is why: dropped, cut short, a length that lies" {
	breaks '. drop' 'EOF|closed|reset'
	breaks '/blobs/ drop' 'EOF|closed|reset'
	breaks '/blobs/ cut 50000' 'EOF|short|closed'
	breaks '/blobs/ length 500000000' 'EOF|short|closed|size'
}

@test "what does not have its digest is refused" {
	breaks '/blobs/ corrupt' 'igest'
	breaks '/blobs/ length 50000' 'igest|size'
	local host digest
	host=$(fake)
	digest=$(jq -r '.manifests[0].digest' "$FAKE/images/busybox/index.json")
	rules '/manifests/ corrupt'
	pod x "$host/busybox@$digest" "$forever"
	fails_to_run x
	within 20 why_is x 'igest'
	rules
	becomes_running x
}

@test "a registry that says nothing more is given up" {
	remount pull_stall=1,pull_backoff_base=0.1,pull_backoff_cap=1
	breaks '/blobs/ stall 1000' 'stall|nothing|no byte|timed out'
}

@test "a slow one is not" {
	remount pull_stall=3
	rules '/blobs/ rate 200000'
	pod x "$ref" "$forever"
	runs x
	[ "$(requests /blobs/)" -eq 2 ]
}

@test "each try waits longer than the one before, up to the cap" {
	rules '/manifests/ status 500'
	pod x "$ref" "$forever"
	within 20 requested /manifests/ 6
	# seconds between tries: 0.1, 0.2, 0.4, 0.8, 1 and what the try takes
	grep /manifests/ "$FAKE/requests" | awk '
		NR > 1 { gap = $1 - last; want = 0.1 * 2 ^ (NR - 2); if (want > 1) want = 1; if (gap < want || gap > want + 3) { print "try", NR, "after", gap; bad = 1 } }
		{ last = $1 }
		END { exit bad }'
	within 5 why_is x 'again|next|in [0-9]'
}

@test "a new wish does not wait for the backoff" {
	remount pull_backoff_base=1000
	rules '. status 500'
	pod x "$ref" "$forever"
	fails_to_run x
	within 5 state_is x ImagePullBackOff
	rules
	echo "$ref" >"$P/.node/pull"
	becomes_running x
}

@test "a disk that is full" {
	unmount_podfs
	EXTRA_MOUNT=$T/state
	mkdir -p "$EXTRA_MOUNT"
	mount -t tmpfs -o size=8M,mode=700 tmpfs "$EXTRA_MOUNT"
	mount_with_node pull_backoff_base=0.1,pull_backoff_cap=1
	mkdir "$P/x"
	echo "$forever" >"$P/x/command"
	head -c "$(($(stat -f -c '%a * %S' "$EXTRA_MOUNT") - 1500000))" /dev/zero >"$EXTRA_MOUNT/ballast"
	echo "$ref" >"$P/x/image"
	fails_to_run x
	within 20 why_is x 'o space|full'
	rm "$EXTRA_MOUNT/ballast"
	becomes_running x
}

# Nothing outlives the server but what is on disk; the wish to run is.
resumes() {
	rules
	becomes_running x 40
	in_container x true
	within 10 nothing_pulled
}

@test "kill -9 of the server: the pull goes on with the next one" {
	rules "$hold"
	pod x "$ref" "$forever"
	held
	local pid pids
	pids="$(server_pid) $(image_pids) $(skopeo_pids)"
	kill -9 "$(server_pid)"
	for pid in $pids; do gone "$pid"; done
	resumes
}

@test "kill -9 of keeper and server: another mount takes it up" {
	rules "$hold"
	pod x "$ref" "$forever"
	held
	kill -9 "$(keeper_pid)" "$(server_pid)"
	within 10 dead
	within 10 no_fetcher
	mount_with_node pull_backoff_base=0.1
	resumes
}
dead() { stat "$P" 2>&1 | grep -q 'not connected'; }

@test "umount in the middle of a pull, and in a backoff" {
	rules "$hold"
	pod x "$ref" "$forever"
	held
	unmount_podfs
	within 10 no_fetcher
	rules '. status 500'
	mount_with_node pull_backoff_base=0.1
	within 10 state_is x 'ErrImagePull|ImagePullBackOff'
	remount pull_backoff_base=0.1
	resumes
}

@test "kill -9 of podfs-image or skopeo: said, and tried again" {
	local name
	for name in image_pids skopeo_pids; do
		rules "$hold"
		requests_new
		pod x "$ref" "$forever"
		held
		"$name" | xargs kill -9
		fails_to_run x
		has . "$P/x/why"
		rules
		becomes_running x
		echo 0 >"$P/x/grace"
		rmdir "$P/x"
		within 10 none_leaving
		rm "$P/.node/images/$ref"
	done
}

@test "a pod that is removed during its pull" {
	rules "$hold"
	pod x "$ref" "$forever"
	pod y "$ref" "$forever"
	held
	timeout 5 rmdir "$P/x"
	pulling "$ref"
	timeout 5 rmdir "$P/y"
	# nobody wants it now
	within 10 nothing_pulled
	within 10 none_leaving
	rules
	run ! has_image "$(fake)/busybox"
}

@test "another image is written meanwhile" {
	serve config config
	rules '/busybox/blobs/ stall 1000'
	pod x "$ref" "$forever"
	held
	echo "$(fake)/config" >"$P/x/image"
	runs x
	within 10 nothing_pulled
	is "$(fake)/config" "$P/x/image"
}

# layer_blob N: the digest of image two's
layer_blob() {
	local manifest
	manifest=$(jq -r '.manifests[0].digest[7:]' "$FAKE/images/two/index.json")
	jq -r ".layers[$1].digest" "$FAKE/images/two/blobs/sha256/$manifest"
}

@test "what two images share is fetched once and kept once" {
	serve two two
	pod x "$ref" "$forever"
	runs x
	[ "$(layers | wc -l)" -eq 1 ]
	pod y "$(fake)/two" "$forever"
	runs y
	[ "$(layers | wc -l)" -eq 3 ]
	local base
	base=$(layer_blob 0)
	[ "$(requests "$base")" -eq 1 ]
	in_container y 'ls /bin/busybox /data/b'
}

@test "what a pull that failed has finished is not fetched again" {
	serve two two
	local base second
	base=$(layer_blob 0)
	second=$(layer_blob 1)
	rules "$second stall 10"
	pod x "$(fake)/two" "$forever"
	within 20 pulling ' 3/3 ' # two are done
	skopeo_pids | xargs kill -9
	fails_to_run x
	rules
	becomes_running x
	[ "$(requests "$base")" -eq 1 ]
	[ "$(requests "$second")" -eq 2 ]
}
