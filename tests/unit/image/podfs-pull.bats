# podfs-image pull run as the server runs it, against registries of its own (tests/cases/registry.bash): docker-registry, and
# one that misbehaves as it is told. PODFS_IMAGE: the program. Needs root.

load ../../cases/registry
HOST=/proc/self/ns/net # the registries are on this one
host() { "$@"; }
IMAGES=${PODFS_TEST_CACHE:-/var/cache/podfs-tests}
max=68719476736
stall=30

setup_file() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	"$BATS_TEST_DIRNAME/../../images/build" > /dev/null
	start_fake
	start_registry plain
	start_tls_registry tls
	for image in busybox two multi; do
		serve "$image" "$image"
	done
}
teardown_file() { stop_registries; }

setup() {
	state=$BATS_TEST_TMPDIR/state
	store=$state/images
	mkdir -p "$state" "$BATS_TEST_TMPDIR/home/.config/containers"
	cp /etc/containers/policy.json "$BATS_TEST_TMPDIR/home/.config/containers/"
	export HOME=$BATS_TEST_TMPDIR/home REGISTRY_AUTH_FILE=$BATS_TEST_TMPDIR/home/auth.json
	unset XDG_RUNTIME_DIR XDG_CONFIG_HOME
	echo '{}' > "$REGISTRY_AUTH_FILE"
	rules
	requests_new
}
teardown() {
	! mountpoint -q "$state" || umount "$state"
	[ -z "$(processes)" ] || { processes; return 1; }
}

within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -le "$deadline" ] || { echo "not within the time: $*"; return 1; }
		sleep 0.02
	done
}

# pull REF [MAX [STALL]]: the verdict
pull() { all_of "$@" | tail -n 1; }
all_of() { podfs_image pull "$state" "$1" "${2:-$max}" "${3:-$stall}"; }
podfs_image() { "$PODFS_IMAGE" "$@" 3>&1 1>&2; }
# begin REF: in the background; $first is its first process
begin() {
	"$PODFS_IMAGE" pull "$state" "$1" "$max" "${2:-$stall}" 3> "$BATS_TEST_TMPDIR/verdict" > "$BATS_TEST_TMPDIR/out" 2>&1 &
	first=$!
}
# Of that one, in $output.
verdict() {
	wait "$first" || true
	output=$(tail -n 1 "$BATS_TEST_TMPDIR/verdict")
}
# says CODE WORDS: the verdict in $output
says() { [[ $output == "$1 "*"$2"* ]] || { echo "$output"; return 1; }; }

# All that belongs to this test's pulls.
processes() {
	local p
	for p in $(pgrep -x 'podfs-image|skopeo'); do
		if grep -qzxF "HOME=$HOME" "/proc/$p/environ" && ! grep -q '^State:[[:space:]]*Z' "/proc/$p/status"; then
			echo "$p $(tr '\0' ' ' < "/proc/$p/cmdline")"
		fi
	done 2> /dev/null
}
none_left() { [ -z "$(processes)" ]; }
work() { find "$store/tmp" -mindepth 1 -maxdepth 1 2> /dev/null | head -n 1; }
tmp_is_empty() { [ -z "$(ls -A "$store/tmp")" ]; }
layer_count() { ls "$store/layers" | wc -l; }
record() { cat "$store"/refs/*.ini; }
layers_of() { sed -n 's/^layer = //p' "$store"/refs/*.ini; }
# The digests of an image's layers, as its registry has them.
blobs_of() {
	local manifest
	manifest=$(grep -o '"digest":"sha256:[0-9a-f]*' "$FAKE/images/$1/index.json" | head -n 1 | cut -d: -f3)
	jq -r '.layers[].digest' "$FAKE/images/$1/blobs/sha256/$manifest" | cut -d: -f2
}
config_of() {
	local manifest
	manifest=$(grep -o '"digest":"sha256:[0-9a-f]*' "$FAKE/images/$1/index.json" | head -n 1 | cut -d: -f3)
	jq -r '.config.digest' "$FAKE/images/$1/blobs/sha256/$manifest" | cut -d: -f2
}
# Is something being unpacked while skopeo still waits for the rest?
unpacking() { [ -n "$(find "$store"/tmp/*/l.* -mindepth 2 2> /dev/null | head -n 1)" ]; }

# make NAME LAYER [DIFF-ID [ARCH]]: an image of one layer, uncompressed, for the fake registry
make() {
	local dir=$FAKE/images/$1 layer config manifest
	rm -rf "$dir"
	mkdir -p "$dir/blobs/sha256"
	layer=$(sha256sum < "$2" | cut -c1-64)
	cp "$2" "$dir/blobs/sha256/$layer"
	printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "${4:-amd64}" "${3:-$layer}" > "$dir/c"
	config=$(sha256sum < "$dir/c" | cut -c1-64)
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
		"$config" "$(stat -c %s "$dir/c")" "$layer" "$(stat -c %s "$2")" > "$dir/m"
	manifest=$(sha256sum < "$dir/m" | cut -c1-64)
	mv "$dir/c" "$dir/blobs/sha256/$config"
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}' \
		"$manifest" "$(stat -c %s "$dir/m")" > "$dir/index.json"
	mv "$dir/m" "$dir/blobs/sha256/$manifest"
	echo '{"imageLayoutVersion":"1.0.0"}' > "$dir/oci-layout"
}
# tar_of NAME: a layer with one file of that name
tar_of() {
	mkdir -p "$BATS_TEST_TMPDIR/root"
	echo "$1" > "$BATS_TEST_TMPDIR/root/$1"
	tar -C "$BATS_TEST_TMPDIR/root" -cf "$BATS_TEST_TMPDIR/layer" "$1"
	echo "$BATS_TEST_TMPDIR/layer"
}

@test 'what is pulled is what an archive of the same image gives' {
	[ "$(pull "$(fake)/two")" = 0 ]
	tmp_is_empty
	mkdir "$BATS_TEST_TMPDIR/other"
	[ "$(podfs_image import "$BATS_TEST_TMPDIR/other" two "$max" < "$IMAGES/two.tar")" = 0 ]
	other=$BATS_TEST_TMPDIR/other/images
	diff <(record | grep -E '^(digest|manifest|layer|layer_size|cmd|env) =') <(grep -hE '^(digest|manifest|layer|layer_size|cmd|env) =' "$other"/refs/*.ini)
	# A whiteout's time is that of its making, and so is a layer's root's.
	listing() { cd "$1" && find . -mindepth 2 ! -type c -printf '%p %y %m %U:%G %s %T@ %l\n' -o -type c -printf '%p\n' | sort; }
	diff <(listing "$store/layers") <(listing "$other/layers")
	contents() { cd "$1" && find . -type f -exec sha256sum {} + | sort; }
	diff <(contents "$store/layers") <(contents "$other/layers")
}

@test 'Dockers manifests keep their digests, and an image its id' {
	push plain config old:1 -f v2s2
	[ "$(pull "$(registry plain)/old:1")" = 0 ]
	digest=$(digest_of "$(registry plain)/old:1")
	id=$(skopeo inspect --tls-verify=false --raw "docker://$(registry plain)/old:1" | jq -r .config.digest)
	record | grep -qx "manifest = $digest"
	record | grep -qx "digest = $id"
}

@test 'by digest: of a manifest, of an index; one that is not there' {
	push plain multi multi:1 --all
	index=$(skopeo inspect --tls-verify=false --raw "docker://$(registry plain)/multi:1" | sha256sum | cut -c1-64)
	[ "$(pull "$(registry plain)/multi@sha256:$index")" = 0 ]
	[ "$(cat "$store/layers"/*/arch)" = "$(dpkg --print-architecture)" ]
	manifest=$(record | sed -n 's/^manifest = //p')
	[ "$(pull "$(registry plain)/multi@$manifest")" = 0 ]
	run pull "$(registry plain)/multi@sha256:$(printf '0%.0s' {1..64})"
	says 2 'no such tag'
}

@test 'layers are unpacked while they arrive' {
	rules '/blobs/ stall 700000'
	begin "$(fake)/busybox"
	within 10 unpacking
	[ -n "$(find "$store"/tmp/*/layout -name 'oci-put-blob*')" ]
	rules
	verdict
	[ "$output" = 0 ]
	tmp_is_empty
}

@test 'what is there is not fetched again' {
	[ "$(pull "$(fake)/busybox")" = 0 ]
	requests_new
	[ "$(pull "$(fake)/two")" = 0 ]
	for blob in $(blobs_of busybox); do
		[ "$(requests "blobs/sha256:$blob")" = 0 ]
	done
	[ "$(requests 'GET .*/blobs/')" = 3 ] # two more layers and the config
	requests_new
	[ "$(pull "$(fake)/two")" = 0 ]
	[ "$(requests 'GET .*/blobs/')" = 1 ]
}

@test 'what was there and is removed meanwhile is fetched after all' {
	[ "$(pull "$(fake)/busybox")" = 0 ]
	rules "blobs/sha256:$(config_of two) stall 10"
	begin "$(fake)/two"
	within 10 requested "blobs/sha256:$(config_of two)"
	run podfs_image remove "$state" "$(fake)/busybox"
	[ "$output" = 0 ]
	requests_new
	rules
	verdict
	[ "$output" = 0 ]
	[ "$(layer_count)" = 3 ]
	# The layers that were unpacked the first time are not fetched a second time.
	[ "$(requests "GET .*blobs/sha256:$(blobs_of busybox)")" = 1 ]
	[ "$(requests 'GET .*/blobs/')" -le 2 ]
	tmp_is_empty
}

@test 'a pull that fails leaves the layers that are whole, and the next goes on from there' {
	last=$(blobs_of two | tail -n 1)
	rules "blobs/sha256:$last status 500"
	run pull "$(fake)/two"
	says 121 'server error 500'
	tmp_is_empty
	[ "$(layer_count)" = 2 ]
	[ -z "$(ls -A "$store/refs")" ]
	rules
	requests_new
	[ "$(pull "$(fake)/two")" = 0 ]
	[ "$(requests 'GET .*/blobs/')" = 2 ]
	[ "$(layer_count)" = 3 ]
}

@test 'SIGTERM ends it: what is whole stays, nothing else does' {
	last=$(blobs_of two | tail -n 1)
	rules "blobs/sha256:$last stall 10"
	begin "$(fake)/two"
	within 10 requested "blobs/sha256:$last"
	within 10 test -e "$store/tmp/$(basename "$(work)")/layout/blobs/sha256/$(blobs_of two | head -n 1)"
	kill -TERM "$first"
	verdict
	[ "$output" = '125 cancelled' ]
	none_left
	tmp_is_empty
	[ -z "$(ls -A "$store/refs")" ]
	rules
	[ "$(pull "$(fake)/two")" = 0 ]
}

@test 'SIGTERM before anything has come' {
	rules '/manifests/ stall 1'
	begin "$(fake)/busybox"
	within 10 requested /manifests/
	kill -TERM "$first"
	verdict
	[ "$output" = '125 cancelled' ]
	tmp_is_empty
}

@test 'kill -9 of the first process takes all others with it, and the next pull sweeps' {
	rules '/blobs/ stall 700000'
	begin "$(fake)/busybox"
	within 10 unpacking
	[ "$(processes | wc -l)" -ge 4 ]
	kill -KILL "$first"
	wait "$first" || true
	within 5 none_left
	[ -n "$(work)" ]
	rules
	[ "$(pull "$(fake)/two")" = 0 ]
	tmp_is_empty
}

@test 'kill -9 of the unpacker, of one of its workers, of skopeo: a verdict, and nothing left' {
	for who in unpacker worker skopeo; do
		rules '/blobs/ stall 700000'
		begin "$(fake)/busybox"
		within 10 unpacking
		unpacker=$(pgrep -P "$first" -x podfs-image)
		case $who in
		unpacker) victim=$unpacker ;;
		worker) victim=$(pgrep -P "$unpacker" | head -n 1) ;;
		skopeo) victim=$(pgrep -P "$first" -x skopeo) ;;
		esac
		kill -KILL "$victim"
		[ "$who" != worker ] || rules
		verdict
		echo "$who: $output"
		case $who in
		unpacker) says 5 'without a word' ;;
		worker) says 5 'signal 9' ;;
		skopeo) says 121 'signal 9' ;;
		esac
		none_left
		tmp_is_empty
	done
}

@test 'a registry that says nothing more is left after the time it is given' {
	rules '/blobs/ stall 1000'
	run pull "$(fake)/busybox" "$max" 1
	says 110 'nothing for 1 seconds'
	rules '/manifests/ stall 1'
	run pull "$(fake)/busybox" "$max" 1
	says 110 'nothing for 1 seconds'
	tmp_is_empty
}

@test 'a slow one is not, and says how far it is' {
	serve busybox slow
	rules '/blobs/ rate 400000'
	run all_of "$(fake)/slow" "$max" 1
	[ "${lines[-1]}" = 0 ]
	grep -qxE 'P [01] 1 [0-9]+ [1-9][0-9]+' <<< "$output"
	# once known, the total stays what it is and no less was read than before
	awk '$1 == "P" && $5 { if (total && total != $5 || $4 < last) exit 1; total = $5; last = $4 } END { exit !total }' <<< "$output"
}

@test 'the cause comes first' {
	while read -r pattern action value code words <&9; do
		rules "$pattern $action $value"
		run pull "$(fake)/busybox"
		echo "$action $value: $output"
		says "$code" "$words"
		tmp_is_empty
	done 9<<-'END'
		/manifests/ status 401 13 the registry wants credentials
		/manifests/ status 403 121 reading manifest
		/manifests/ status 404 2 no such tag
		/manifests/ status 500 121 server error 500
		/v2/$ status 503 121 server error 503
		/blobs/ status 404 2 the registry lacks a part
		/blobs/ corrupt 1 74 digest mismatch
		/blobs/ cut 1000 121 the connection broke
		/v2/$ drop 1 121 the connection broke
	END
	rules
	run pull localhost:1/x
	says 111 'connection refused'
	run pull registry.invalid/x
	says 113 'cannot resolve registry.invalid'
	run pull "$(fake)/UPPER"
	says 22 'is not an image reference'
	echo '{"default":[{"type":"reject"}]}' > "$HOME/.config/containers/policy.json"
	run pull "$(fake)/busybox"
	says 1 'refused by policy.json'
	PATH=$BATS_TEST_TMPDIR run podfs_image pull "$state" x "$max" 1
	says 38 'skopeo is not installed'
}

@test 'on loopback plain HTTP is good enough, but not TLS of an unknown authority' {
	[ "$(pull "127.0.0.1:${fake_port:=$(cat "$FAKE/port")}/busybox")" = 0 ]
	run pull "$(registry tls)/x"
	says 71 'TLS: certificate signed by unknown authority'
	mkdir -p "$HOME/.config/containers/certs.d/$(registry tls)"
	cp "$BATS_FILE_TMPDIR/ca.crt" "$HOME/.config/containers/certs.d/$(registry tls)/"
	run pull "$(registry tls)/x"
	says 2 'no such tag'
}

@test 'every transport that is a place of this host' {
	tar -C "$BATS_TEST_TMPDIR" --one-top-level=layout -xf "$IMAGES/busybox.tar"
	skopeo copy -q "oci:$BATS_TEST_TMPDIR/layout:latest" "dir:$BATS_TEST_TMPDIR/dir"
	storage="[vfs@$BATS_TEST_TMPDIR/storage+$BATS_TEST_TMPDIR/run]localhost/busybox:1"
	skopeo copy -q "oci:$BATS_TEST_TMPDIR/layout:latest" "containers-storage:$storage"
	for place in "oci:$BATS_TEST_TMPDIR/layout" "oci:$BATS_TEST_TMPDIR/layout:latest" "oci-archive:$IMAGES/busybox.tar" \
		"docker-archive:$IMAGES/busybox-docker.tar" "dir:$BATS_TEST_TMPDIR/dir" "containers-storage:$storage"; do
		output=$(pull "$place")
		echo "$place: $output"
		[ "$output" = 0 ]
		grep -qxF "written = $place" "$store"/refs/*.ini
	done
	[ "$(pull "docker://$(fake)/busybox")" = 0 ]
	grep -qxF "written = $(fake)/busybox" "$store"/refs/*.ini
	[ "$(layer_count)" = 1 ]
	run pull "oci:$BATS_TEST_TMPDIR/nowhere"
	says 2 'no such image'
}

@test 'a full disk: a sentence, and no more than whole layers left' {
	mount -t tmpfs -o size=1M none "$state"
	run pull "$(fake)/busybox"
	says 28 ''
	tmp_is_empty
	[ "$(layer_count)" = 0 ]
	mount -o remount,ro "$state"
	run pull "$(fake)/busybox"
	says 30 ''
	umount "$state"
	# the layers do not fit, what is fetched does
	mount -t tmpfs -o size=1800k none "$state"
	run pull "$(fake)/two"
	says 28 ''
	tmp_is_empty
}

@test 'two pulls at once, of one image and of two' {
	rules '/blobs/ rate 1000000'
	pids=
	for ref in busybox busybox two two multi; do
		pull "$(fake)/$ref" > "$BATS_TEST_TMPDIR/v.$ref" &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p"
	done
	for ref in busybox two multi; do
		[ "$(cat "$BATS_TEST_TMPDIR/v.$ref")" = 0 ] || { cat "$BATS_TEST_TMPDIR/v.$ref"; return 1; }
	done
	[ "$(ls "$store/refs" | wc -l)" = 3 ]
	tmp_is_empty
}

@test 'a layer that looks like a config is unpacked in the end' {
	make odd "$(tar_of '{x')"
	[ "$(pull "$(fake)/odd")" = 0 ]
	[ "$(cat "$store/layers/$(layers_of)/{x")" = '{x' ]
}

@test 'an image that lies about its layers, and one for another machine' {
	make lies "$(tar_of f)" "$(printf 'a%.0s' {1..64})"
	run pull "$(fake)/lies"
	says 74 'layer 1 of 1 (sha256:aaaaaaaaaaaa): its content has the SHA-256'
	# Now the layer is there, but not as what the config says it is.
	run pull "$(fake)/lies"
	says 74 'layer 1 of 1 (sha256:aaaaaaaaaaaa): its content has the SHA-256'
	[ -z "$(ls -A "$store/refs")" ]
	make other "$(tar_of f)" '' s390x
	run pull "$(fake)/other"
	says 22 'an image for linux/s390x; this node is linux/'
	echo garbage > "$BATS_TEST_TMPDIR/garbage"
	make garbage "$BATS_TEST_TMPDIR/garbage"
	run pull "$(fake)/garbage"
	says 22 'layer 1 of 1'
	tmp_is_empty
}

@test 'what may come is bounded, whatever it is' {
	run pull "$(fake)/busybox" 2000000
	says 27 'image_max'
	run pull "$(fake)/busybox" 1000000
	says 27 'image_max'
	[ "$(layer_count)" = 0 ]
	# no layer to look at, no archive to unpack: it ends before it is all there
	{ echo '{'; head -c 3000000 /dev/zero; } > "$BATS_TEST_TMPDIR/json"
	{ echo 'no archive'; head -c 3000000 /dev/zero; } > "$BATS_TEST_TMPDIR/garbage"
	for f in json garbage; do
		make "$f" "$BATS_TEST_TMPDIR/$f"
		rules '/blobs/ stall 2000000'
		run pull "$(fake)/$f" 1000000 5
		says 27 'image_max'
	done
	tmp_is_empty
}
