# podfs-image run as the server runs it: archives from tests/images into a store of its own.
# PODFS_IMAGE: the program. Needs root.

images=$BATS_TEST_DIRNAME/../../images
max=68719476736

setup_file() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	"$images/build" > /dev/null
}

setup() {
	cache=${PODFS_TEST_CACHE:-/var/cache/podfs-tests}
	state=$BATS_TEST_TMPDIR/outside/state
	store=$state/images
	mkdir -p "$state" "$BATS_TEST_TMPDIR/merged"
}

teardown() {
	cd /
	for dir in "$BATS_TEST_TMPDIR/merged" "$state"; do
		! mountpoint -q "$dir" || umount "$dir"
	done
}

# verdict ARG…: runs podfs-image, says what it says on descriptor 3 but how far it is
verdict() {
	"$PODFS_IMAGE" "$@" 3>&1 1>&2 | sed '/^P [0-9]* [0-9]* [0-9]* [0-9]*$/d'
	return "${PIPESTATUS[0]}"
}

# import REF FILE [MAX]
import() {
	verdict import "$state" "$1" "${3:-$max}" < "$2"
}

# made NAME [MAX]: makes that archive and imports it
made() {
	"$images/hostile" "$1" > "$BATS_TEST_TMPDIR/archive"
	run import h "$BATS_TEST_TMPDIR/archive" "${2:-}"
}

layers() {
	sed -n 's/^layer = //p' "$store"/refs/*.ini
}

# The folder of the top layer of the only image.
top() {
	echo "$store/layers/$(layers | tail -n 1)"
}

# Mounts the only image as containers see it.
merge() {
	local lower
	lower=$(layers | tac | sed "s|^|$store/layers/|" | paste -sd:)
	case $lower in
	*:*) mount -t overlay -o "ro,lowerdir=$lower" overlay "$BATS_TEST_TMPDIR/merged" ;;
	*) mount --bind "$lower" "$BATS_TEST_TMPDIR/merged" ;;
	esac
	cd "$BATS_TEST_TMPDIR/merged"
}

clean_store() {
	[ -z "$(ls -A "$store/tmp")" ]
	[ "$(ls -A "$BATS_TEST_TMPDIR/outside")" = state ]
	[ "$(ls -A "$state")" = images ]
	for d in / /tmp /etc /proc/self/cwd "$BATS_TEST_TMPDIR" "$store"; do
		[ ! -e "$d/podfs-hostile" ]
	done
}

@test 'every form of archive and compression gives the same layer' {
	for f in busybox busybox-plain busybox-zstd busybox-docker config; do
		run import "$f" "$cache/$f.tar"
		[ "$output" = 0 ] && [ "$status" = 0 ]
	done
	gzip -c "$cache/busybox.tar" > "$BATS_TEST_TMPDIR/gz"
	run import outer-gzip "$BATS_TEST_TMPDIR/gz"
	[ "$output" = 0 ]
	zstd -qc "$cache/busybox-docker.tar" > "$BATS_TEST_TMPDIR/zst"
	run import outer-zstd "$BATS_TEST_TMPDIR/zst"
	[ "$output" = 0 ]
	[ "$(ls "$store/layers" | wc -l)" = 1 ]
	[ "$(ls "$store/refs" | wc -l)" = 7 ]
	clean_store
}

@test 'a layer is what tar unpacks' {
	run import busybox "$cache/busybox-plain.tar"
	[ "$output" = 0 ]
	mkdir "$BATS_TEST_TMPDIR/layout"
	tar -C "$BATS_TEST_TMPDIR/layout" -xf "$cache/busybox-plain.tar"
	tar -C "$(top)" --compare -f "$BATS_TEST_TMPDIR/layout/blobs/sha256/$(layers)"
	[ "$(stat -c %h "$(top)/bin/sh")" -gt 100 ]
	[ "$(stat -c %a:%u "$(top)/tmp" "$(top)/home/app")" = "1777:0
755:1000" ]
	[ "$("$(top)/bin/sh" -c 'echo runs')" = runs ]
}

@test 'the record says what the config says' {
	run import 'localhost:5000/a/b' "$cache/config.tar"
	[ "$output" = 0 ]
	run cat "$store/refs/$(printf localhost:5000/a/b:latest | sha256sum | cut -c1-64).ini"
	for line in 'canonical = localhost:5000/a/b:latest' 'written = localhost:5000/a/b' 'os = linux' \
		'entrypoint = /bin/sh' 'entrypoint = -c' 'cmd = one' 'cmd = two words' 'env = GREETING=hello world' \
		'env = EMPTY=' 'workdir = /home/app' 'user = app' 'stopsignal = SIGQUIT' 'port = 8080/tcp' \
		'label = org.example.purpose=test'; do
		grep -qxF "$line" <<< "$output"
	done
}

@test 'whiteouts and opaque folders hide what lies below, in an overlay' {
	run import two "$cache/two.tar"
	[ "$output" = 0 ]
	[ "$(layers | wc -l)" = 3 ]
	merge
	cd data
	[ "$(ls -A)" = "$(printf '%s\n' a b dir now-a-dir now-a-file opaque)" ]
	[ "$(ls -A dir opaque now-a-dir)" = "dir:
y

now-a-dir:
inside

opaque:
new" ]
	[ "$(cat a b dir/y opaque/new now-a-file)" = "lower a
upper b
lower dir/y
upper new
upper now-a-file" ]
}

@test 'of two entries of one name the later counts' {
	made dup-last-wins
	[ "$output" = 0 ]
	cd "$(top)"
	[ "$(cat f g/in)" = secondin ]
	[ "$(readlink d)" = f ]
	[ "$(stat -c %a g)" = 700 ]
}

@test 'a whiteout beside what the layer brings itself hides only lower layers' {
	for order in before after; do
		rm -rf "$store"
		made "whiteout-$order"
		[ "$output" = 0 ]
		cd "$(top)"
		[ "$(cat f d/x)" = fx ]
		[ "$(stat -c '%F %t:%T' gone)" = 'character special file 0:0' ]
		grep -qa 'trusted.overlay.opaque=y' <(tar --xattrs --xattrs-include='*' -cf - d)
	done
}

@test 'a relative link inside of the layer is followed' {
	made own-link
	[ "$output" = 0 ]
	[ "$(cat "$(top)/usr/lib/x" "$(top)/usr/lib/new/y")" = xy ]
	[ -L "$(top)/lib" ]
}

@test 'a link of a lower layer is not followed' {
	made other-layers-link
	[ "$output" = 0 ]
	[ "$(cat "$(top)/l/podfs-hostile")" = x ]
	clean_store
}

@test 'below an opaque root nothing is left' {
	made opaque-root
	[ "$output" = 0 ]
	merge
	[ "$(ls)" = above ]
}

@test 'a layer that comes twice is stacked once' {
	made same-layer-twice
	[ "$output" = 0 ]
	[ "$(layers | wc -l)" = 2 ]
	merge
	[ "$(cat a)" = one ]
}

@test 'odd but right: AUFS files, no files, an index in an index, names that are no UTF-8' {
	for name in aufs empty-layer nested-index bad-utf8; do
		rm -rf "$store"
		made "$name"
		[ "$output" = 0 ]
	done
	[ "$(ls "$(top)" | od -An -c | tr -d ' \n')" = 'caf351\nt377e\n' ]
}

@test 'attributes: the users own and capabilities stay, those of the other host go' {
	made odd-attributes
	[ "$output" = 0 ]
	run tar -C "$(top)" --xattrs --xattrs-include='*' -cf - f
	grep -qa 'user.kept=v' <<< "$output"
	! grep -qaE 'selinux|trusted.mine' <<< "$output"
}

@test 'modes, owners, times, devices, FIFOs, links, capabilities, long names' {
	made kinds
	[ "$output" = 0 ]
	cd "$(top)"
	[ "$(stat -c '%n %a %u %h' suid second)" = "suid 4755 7 2
second 4755 7 2" ]
	[ "$(stat -c '%a %u %y' cap)" = "755 100000 $(date -d @1600000000 '+%F %T').123456789 $(date -d @1600000000 +%z)" ]
	grep -qa 'security.capability=' <(tar --xattrs --xattrs-include='*' -cf - cap)
	[ "$(stat -c '%F %a %t:%T' fifo null loop)" = "fifo 640 0:0
character special file 666 1:3
block special file 644 7:0" ]
	[ "$(stat -c '%a %Y' sticky)" = '1777 1600000000' ]
	[ "$(readlink abs up abs2)" = "/etc/passwd
../../../etc/passwd
/etc/passwd" ]
	[ "$(find . -name 'pppp*' -type f | wc -c)" = 912 ]
}

@test 'a sparse file stays sparse' {
	mkdir "$BATS_TEST_TMPDIR/root"
	truncate -s 100M "$BATS_TEST_TMPDIR/root/sparse"
	printf x | dd of="$BATS_TEST_TMPDIR/root/sparse" bs=1 seek=50M conv=notrunc status=none
	tar -C "$BATS_TEST_TMPDIR/root" -Scf "$BATS_TEST_TMPDIR/layer" .
	id=$(sha256sum "$BATS_TEST_TMPDIR/layer" | cut -c1-64)
	printf '{"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" > "$BATS_TEST_TMPDIR/config"
	printf '[{"Config":"config","Layers":["layer"]}]' > "$BATS_TEST_TMPDIR/manifest.json"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/archive" manifest.json config layer
	run import sparse "$BATS_TEST_TMPDIR/archive" 1000000
	[ "$output" = 0 ]
	[ "$(stat -c %s "$(top)/sparse")" = 104857600 ]
	[ "$(stat -c %b "$(top)/sparse")" -lt 100 ]
	cmp "$(top)/sparse" "$BATS_TEST_TMPDIR/root/sparse"
}

@test 'a reference with a digest gets that image or none' {
	run import "busybox@sha256:$(printf '0%.0s' {1..64})" "$cache/busybox.tar"
	[[ $output == '22 the archive holds sha256:'*'not what the reference asks for' ]]
	digest=$(tar -xOf "$cache/busybox.tar" ./index.json | grep -o 'sha256:[0-9a-f]*' | head -n 1)
	run import "busybox@$digest" "$cache/busybox.tar"
	[ "$output" = 0 ]
}

@test 'of several images the one that is called so' {
	mkdir "$BATS_TEST_TMPDIR/l"
	tar -C "$BATS_TEST_TMPDIR/l" -xf "$cache/busybox.tar"
	one=$(grep -o '"manifests":\[.*\]' "$BATS_TEST_TMPDIR/l/index.json" | sed 's/"manifests":\[\(.*\)\]/\1/')
	tar -C "$BATS_TEST_TMPDIR/l" -xf "$cache/config.tar"
	two=$(grep -o '"manifests":\[.*\]' "$BATS_TEST_TMPDIR/l/index.json" | sed 's/"manifests":\[\(.*\)\]/\1/; s/latest/v2/')
	printf '{"schemaVersion":2,"manifests":[%s,%s]}' "$one" "$two" > "$BATS_TEST_TMPDIR/l/index.json"
	tar -C "$BATS_TEST_TMPDIR/l" -cf "$BATS_TEST_TMPDIR/both" .
	run import x:v2 "$BATS_TEST_TMPDIR/both"
	[ "$output" = 0 ]
	grep -q '^user = app' "$store"/refs/*.ini
	run import x:v3 "$BATS_TEST_TMPDIR/both"
	[[ $output == '22 the archive holds several images and none is called docker.io/library/x:v3' ]]
}

@test 'images that umoci and skopeo write' {
	command -v umoci skopeo > /dev/null || skip 'needs umoci and skopeo'
	cd "$BATS_TEST_TMPDIR"
	mkdir l rootfs
	tar -C l -xf "$cache/busybox.tar"
	umoci --log=fatal unpack --image l:latest bundle
	echo changed > bundle/rootfs/etc/motd
	rm -r bundle/rootfs/home
	umoci --log=fatal repack --image l:next bundle
	skopeo --insecure-policy copy -q oci:l:next oci-archive:next.tar:next
	skopeo --insecure-policy copy -q oci:l:next docker-archive:docker.tar:x:next
	run import x:next next.tar
	[ "$output" = 0 ]
	merge
	[ "$(cat etc/motd)" = changed ]
	[ ! -e home ]
	cd ..
	run import x:docker docker.tar
	[ "$output" = 0 ]
	[ "$(ls "$store/layers" | wc -l)" = 2 ]
}

@test 'remove frees the layers that no other image has' {
	import one "$cache/busybox.tar"
	import two "$cache/two.tar"
	[ "$(ls "$store/layers" | wc -l)" = 3 ]
	run verdict remove "$state" docker.io/library/two:latest
	[ "$output" = 0 ]
	[ "$(ls "$store/layers" | wc -l)" = 1 ]
	run verdict remove "$state" two
	[ "$output" = '2 two is not on this node' ]
	run verdict remove "$state" one
	[ "$output" = 0 ]
	[ -z "$(ls -A "$store/layers")$(ls -A "$store/refs")$(ls -A "$store/tmp")" ]
}

@test 'importing again replaces the record and leaves the old layers to clean' {
	import x "$cache/two.tar"
	import x "$cache/busybox.tar"
	[ "$(ls "$store/refs" | wc -l)" = 1 ]
	[ "$(ls "$store/layers" | wc -l)" = 3 ]
	import other "$cache/config.tar"
	verdict remove "$state" other
	[ "$(ls "$store/layers" | wc -l)" = 3 ]
	run verdict clean "$state"
	[ "$output" = 0 ]
	[ "$(ls "$store/layers")" = "$(layers)" ]
}

@test 'with a record that cannot be read no layer is removed' {
	import x "$cache/busybox.tar"
	import y "$cache/two.tar"
	echo garbage > "$store/refs/$(printf docker.io/library/x:latest | sha256sum | cut -c1-64).ini"
	run verdict clean "$state"
	[[ $output == *.ini* ]]
	[ "$(ls "$store/layers" | wc -l)" = 3 ]
	run verdict remove "$state" x
	[ "$output" = 0 ]
	run verdict clean "$state"
	[ "$output" = 0 ]
}

@test 'a layer that somebody holds stays, until nobody does' {
	import one "$cache/busybox.tar"
	import two "$cache/two.tar"
	top=$(sed -n 's/^layer = //p' "$store/refs/$(printf docker.io/library/two:latest | sha256sum | cut -c1-64).ini" | tail -n 1)
	exec 8< "$store/layers/$top"
	flock -s 8
	run verdict remove "$state" two
	[ "$output" = 0 ]
	[ "$(ls "$store/layers" | wc -l)" = 2 ]
	[ "$(cat "$store/layers/$top/data/opaque/new")" = 'upper new' ]
	run verdict clean "$state"
	[ "$output" = 0 ]
	[ -d "$store/layers/$top" ]
	exec 8<&-
	run verdict clean "$state"
	[ "$output" = 0 ]
	[ ! -e "$store/layers/$top" ]
	[ "$(ls "$store/layers" | wc -l)" = 1 ]
	clean_store
}

@test 'a layer knows its size and its blob, and the record the sizes of its layers' {
	import two "$cache/two.tar"
	mkdir "$BATS_TEST_TMPDIR/layout"
	tar -C "$BATS_TEST_TMPDIR/layout" -xf "$cache/two.tar"
	sum=0 sizes=
	for id in $(layers); do
		size=$(getfattr --absolute-names --only-values -n trusted.podfs.size "$store/layers/$id")
		read -r blob bytes <<< "$(getfattr --absolute-names --only-values -n trusted.podfs.blob "$store/layers/$id")"
		[ "$bytes" = "$(stat -c %s "$BATS_TEST_TMPDIR/layout/blobs/sha256/$blob")" ]
		[ "$(zstd -qdcf "$BATS_TEST_TMPDIR/layout/blobs/sha256/$blob" | tee >(wc -c > "$BATS_TEST_TMPDIR/n") | sha256sum)" = "$id  -" ]
		[ "$size" = "$(cat "$BATS_TEST_TMPDIR/n")" ]
		sum=$((sum + size)) sizes="$sizes${sizes:+
}$size"
	done
	[ "$(sed -n 's/^layer_size = //p' "$store"/refs/*.ini)" = "$sizes" ]
	[ "$(sed -n 's/^size = //p' "$store"/refs/*.ini)" = "$sum" ]
}

@test 'on a disk that is full images can still be removed' {
	mount -t tmpfs -o size=30M,nr_inodes=2000 tmpfs "$state"
	import one "$cache/busybox.tar"
	import two "$cache/two.tar"
	for i in $(seq 2000); do
		: 2> /dev/null > "$state/fill.$i" || break
	done
	! mkdir "$store/tmp/x"
	run verdict remove "$state" two
	[ "$output" = 0 ]
	[ "$(ls "$store/layers" | wc -l)" = 1 ]
	rm "$store"/refs/*
	for i in $(seq 2001 4000); do
		: 2> /dev/null > "$state/fill.$i" || break
	done
	run verdict clean "$state"
	[ "$output" = 0 ]
	[ -z "$(ls -A "$store/layers")$(ls -A "$store/tmp")" ]
}

# after MS: comes back that many milliseconds later
after() {
	read -r -t "$(printf '0.%03d' "$1")" <> "$BATS_TEST_TMPDIR/never" || true
}

@test 'killed at any moment: no half layer, and the next import works' {
	mkfifo "$BATS_TEST_TMPDIR/never"
	import whole "$cache/two.tar"
	whole=$(cd "$store/layers" && find . -printf '%p %y %m %U:%G %s %n %l\n' | sort)
	kept=0
	for i in $(seq "${PODFS_TEST_KILLS:-25}"); do
		[ $((i % 3)) != 1 ] || rm -rf "$store"
		"$PODFS_IMAGE" import "$state" x "$max" 3> /dev/null < "$cache/two.tar" &
		after $((RANDOM % 120))
		kill -KILL $! 2> /dev/null || true
		wait $! || true
		for id in $(ls "$store/layers"); do
			[ "$(cd "$store/layers" && find "./$id" -printf '%p %y %m %U:%G %s %n %l\n' | sort)" = \
				"$(grep -F "./$id" <<< "$whole")" ]
		done
		for id in $(layers 2> /dev/null); do
			[ -d "$store/layers/$id" ]
			kept=$((kept + 1))
		done
	done
	echo "$kept layers of records"
	[ "$(import x "$cache/two.tar")" = 0 ]
	verdict clean "$state"
	[ "$(cd "$store/layers" && find . -printf '%p %y %m %U:%G %s %n %l\n' | sort | tail -n +2)" = "$(tail -n +2 <<< "$whole")" ]
	clean_store
}

@test 'what a killed import leaves is swept by the next' {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	"$PODFS_IMAGE" import "$state" x "$max" 3> /dev/null < "$BATS_TEST_TMPDIR/pipe" &
	exec 9> "$BATS_TEST_TMPDIR/pipe"
	head -c 600000 "$cache/busybox.tar" >&9
	[ -n "$(ls -A "$store/tmp")" ]
	# A living one is left alone.
	run verdict clean "$state"
	[ "$output" = 0 ]
	[ -n "$(ls -A "$store/tmp")" ]
	kill -KILL $!
	wait $! || true
	[ -n "$(ls -A "$store/tmp")" ]
	import y "$cache/busybox.tar"
	clean_store
	exec 9>&-
}

@test 'SIGTERM ends an import, and it cleans up' {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	"$PODFS_IMAGE" import "$state" x "$max" 3> "$BATS_TEST_TMPDIR/verdict" < "$BATS_TEST_TMPDIR/pipe" 9>&- &
	exec 9> "$BATS_TEST_TMPDIR/pipe"
	head -c 600000 "$cache/busybox.tar" >&9
	kill -TERM $!
	wait $! || true
	[[ $(cat "$BATS_TEST_TMPDIR/verdict") == '125 cancelled' ]]
	clean_store
	exec 9>&-
}

@test 'a pipe that closes early is a truncated archive' {
	for n in 0 100 1024 20000 600000 1100000; do
		run verdict import "$state" x "$max" < <(head -c "$n" "$cache/busybox.tar")
		[ "$status" = 1 ]
		clean_store
	done
	[ -z "$(ls -A "$store/refs")" ]
}

@test 'imports side by side, of one image under many names' {
	pids=
	for i in 1 2 3 4 5 6; do
		import "n$i" "$cache/two.tar" &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p"
	done
	[ "$(ls "$store/refs" | wc -l)" = 6 ]
	[ "$(ls "$store/layers" | wc -l)" = 3 ]
	clean_store
}

@test 'memory stays flat: a large file, a bomb, a big JSON' {
	head -c 150M /dev/zero > "$BATS_TEST_TMPDIR/layer"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/l.tar" layer
	id=$(sha256sum "$BATS_TEST_TMPDIR/l.tar" | cut -c1-64)
	gzip -1 "$BATS_TEST_TMPDIR/l.tar"
	printf '{"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" > "$BATS_TEST_TMPDIR/config"
	printf '[{"Config":"config","Layers":["l.tar.gz"]}]' > "$BATS_TEST_TMPDIR/manifest.json"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/big" manifest.json config l.tar.gz
	rm "$BATS_TEST_TMPDIR/layer"
	"$images/hostile" json-many > "$BATS_TEST_TMPDIR/json"
	[ -z "${PODFS_SANITIZED:-}" ] || skip 'sanitizers take memory of their own'
	(
		ulimit -v 100000
		[ "$(import big "$BATS_TEST_TMPDIR/big")" = 0 ]
		[[ $(import json "$BATS_TEST_TMPDIR/json") == 7\ * ]]
	)
}

@test 'it wants its arguments and its descriptor' {
	run "$PODFS_IMAGE" 3>&1
	[ "$status" = 2 ]
	run "$PODFS_IMAGE" clean "$state" 3>&-
	[ "$status" = 2 ]
	run verdict import "$state" x 1k < /dev/null
	[ "$status" = 2 ]
	run verdict import "$state" UPPER "$max" < /dev/null
	[[ $output == '22 '* ]]
	run verdict import "$state" dir:/etc "$max" < /dev/null
	[[ $output == '22 '* ]]
	run verdict clean "$BATS_TEST_TMPDIR/nowhere"
	[[ $output == '2 cannot open the state directory'* ]]
}
