# Archives that attack whoever unpacks them: tests/images/hostile makes them and says how each is refused.
# Each is imported into a store that has a good image, among files that an escape would change.
# PODFS_IMAGE: the program. Needs root. Those of the table take as long as all others: they run beside them.

images=$BATS_TEST_DIRNAME/../../images
hostile=$images/hostile
memory=65536 # KiB of any process of an import
max=1073741824

setup_file() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	"$images/build" > /dev/null
}

setup() {
	outside=$BATS_TEST_TMPDIR/outside
	state=$outside/state
	store=$state/images
	archive=$BATS_TEST_TMPDIR/archive
	merged=$BATS_TEST_TMPDIR/merged
	mkdir -p "$state" "$outside/dir" "$merged"
	echo kept > "$outside/kept"
	echo kept > "$outside/dir/suid"
	chmod 4755 "$outside/dir/suid"
	import good "${PODFS_TEST_CACHE:-/var/cache/podfs-tests}/busybox.tar" "$max" > /dev/null
	good=$(ls "$store/layers" "$store/refs")
	before=$(everything)
}

teardown() {
	cd /
	! mountpoint -q "$merged" || umount "$merged"
}

# import REF FILE MAX: the verdict; peak memory is left in $BATS_TEST_TMPDIR/peak.
import() {
	timeout 120 time -qf %M -o "$BATS_TEST_TMPDIR/peak" "$PODFS_IMAGE" import "$state" "$1" "$3" 3>&1 1>&2 < "$2" | tail -n 1
}

# What a change of anything would show in. Of folders the store's have other times afterwards.
everything() {
	find "$outside" -type d -printf '%P %i %m %U:%G\n' -o -printf '%P %y %i %m %U:%G %n %s %C@ %l\n' | sort
}

nothing_outside() {
	local d
	for d in / /tmp /etc "$BATS_TEST_TMPDIR" "$store"; do
		[ ! -e "$d/podfs-hostile" ]
	done
}

# Memory was flat. Sanitizers take some of their own.
peak() {
	[ -n "${PODFS_SANITIZED:-}" ] || [ "$(tail -n 1 "$BATS_TEST_TMPDIR/peak")" -le "$memory" ]
}

# nothing_changed: as if the import had never been
nothing_changed() {
	nothing_outside
	diff <(echo "$before") <(everything)
}

# all_refused GROUP: each with its errno and words
all_refused() {
	local name limit code words said n=0
	mkdir "$BATS_TEST_TMPDIR/$1"
	"$hostile" -g "$1" "$BATS_TEST_TMPDIR/$1"
	while read -r name limit code words; do
		said=$(import h "$BATS_TEST_TMPDIR/$1/$name" "$limit")
		echo "$name: $said ($(cat "$BATS_TEST_TMPDIR/peak") KiB)"
		[[ $said == "$code "*"$words"* ]]
		nothing_changed
		peak
		n=$((n + 1))
	done < <("$hostile" -l "$1")
	[ "$n" -gt 5 ]
}

# taken NAME [MAX]: is imported as `h`; the current folder is its top layer.
taken() {
	"$hostile" "$1" > "$archive"
	run import h "$archive" "${2:-$max}"
	echo "$1: $output"
	[ "$output" = 0 ]
	nothing_outside
	peak
	cd "$store/layers/$(layers | tail -n 1)"
}

layers() {
	sed -n 's/^layer = //p' "$store/refs/$(printf docker.io/library/h:latest | sha256sum | cut -c1-64).ini"
}

# removed: nothing of `h` stays.
removed() {
	cd /
	[ "$("$PODFS_IMAGE" remove "$state" h 3>&1 1>&2)" = 0 ]
	[ "$(ls "$store/layers" "$store/refs")" = "$good" ]
	nothing_changed
}

# bats test_tags=table
@test 'names: absolute, .. in all forms, 5,000 characters, 100,000 folders, the root as something else, whiteouts' {
	all_refused names
}

# bats test_tags=table
@test 'links: through symbolic and hard ones, cycles, of other layers' {
	all_refused links
}

# bats test_tags=table
@test 'inodes: forged whiteouts, orders to overlayfs, owners and attributes that cannot be' {
	all_refused inodes
}

# bats test_tags=table
@test 'headers: sizes that lie, 100 MB of PAX and of GNU names, headers upon headers' {
	all_refused headers
}

# bats test_tags=table
@test 'maps of holes that lie' {
	all_refused sparse
}

# bats test_tags=table
@test 'compressed: damaged, bombs, one compression in another, millions of entries' {
	all_refused compressed
}

# bats test_tags=table
@test 'JSON: 100 MB, 10,000 levels, a million values, keys twice, NUL, no UTF-8' {
	all_refused json
}

# bats test_tags=table
@test 'manifests: 10,000 layers, digests and sizes that do not fit, loops' {
	all_refused manifests
}

# bats test_tags=table
@test 'the outer archive' {
	all_refused outer
}

@test 'every group of the table is tried' {
	[ "$("$hostile" -l | paste -sd' ')" = 'compressed headers inodes json links manifests names outer sparse' ]
}

@test 'cut off anywhere: gzip, zstd, tar' {
	local filter n said
	for filter in 'gzip -1c' 'zstd -1qc' cat; do
		for n in 1 18 1537 10000 $((20000 - RANDOM % 1000)); do
			"$hostile" -c "$filter" "$n" > "$archive"
			said=$(import h "$archive" "$max")
			echo "$filter $n: $said"
			[[ $said == 22\ * || $said == 74\ * ]]
			nothing_changed
		done
	done
}

@test 'a later layer through the links of an earlier one' {
	taken through-lower-links
	mount -t overlay -o "ro,lowerdir=$(layers | tac | sed "s|^|$store/layers/|" | paste -sd:)" overlay "$merged"
	cd "$merged"
	[ "$(stat -c %F dir etc up lib)" = "$(printf 'directory\n%.0s' 1 2 3 4)" ]
	[ "$(cat dir/podfs-hostile etc/podfs-hostile up/podfs-hostile lib/new)" = xxxx ]
	[ ! -e usr ]
	cd /
	umount "$merged"
	removed
}

@test 'of two entries of one name the later counts, and neither writes through the other' {
	taken replaced
	[ "$(cat suid second)" = beforeafter ]
	[ "$(stat -c '%a %h' suid second d)" = $'4755 2\n644 1\n4755 2' ]
	[ "$(cat real/in link/in a null w h2)" = reallinkagainfilewh ]
	[ "$(stat -c %F link null)" = $'directory\nregular file' ]
	[ "$(stat -c %h h h2)" = $'2\n2' ]
	cd /
	removed
}

@test 'folders 300 deep, and deeper than any path is long' {
	taken deep
	[ "$(find . -name f -printf %d)" = 301 ]
	removed
	taken very-deep
	[ "$(find . -type d -printf '%d\n' | sort -n | tail -n 1)" = 2400 ]
	removed
}

@test 'opaque said twice' {
	taken opaque-twice
	[ "$(ls -A d)" = above ]
	grep -qa 'trusted.overlay.opaque=y' <(tar --xattrs --xattrs-include='*' -cf - d)
	removed
}

@test "overlayfs' attributes for users are left out, and the store's own" {
	taken user-overlay
	[ "$(tar --xattrs --xattrs-include='*' -cf - d | grep -caE 'overlay|podfs')" = 0 ]
	removed
}

@test 'set-id bits stay; a capability of another user namespace stays that' {
	taken capability-other
	[ "$(stat -c %a f)" = 6755 ]
	tar --xattrs --xattrs-include='*' -cf - f | grep -qa "security.capability=$(printf '\1')"
	removed
}

@test 'the last owner there is, times that no clock has, no byte at all' {
	taken owner-last
	[ "$(stat -c %u:%g f)" = 4294967294:4294967294 ]
	removed
	taken times
	[ "$(ls | wc -l)" = 6 ]
	removed
	taken no-byte
	[ -z "$(ls -A)" ]
	removed
}

@test 'what stands behind the compressed bytes, or behind the archive' {
	taken gzip-garbage
	[ "$(cat ok)" = fine ]
	removed
	taken zeros-behind
	[ "$(cat ok)" = fine ]
	removed
}

@test 'maps of holes that say too little: holes, and no more' {
	local name
	for name in gnu-beyond gnu-more-than-there pax01-odd; do
		taken "$name"
		[ "$(ls)" = sparse ]
		[ "$(stat -c %s sparse)" -le 2097152 ]
		[ "$(stat -c %b sparse)" -le 64 ]
		removed
	done
}

@test 'a hole of nine exabytes takes no room, or no such file can be' {
	"$hostile" exabyte > "$archive"
	run import h "$archive" "$max"
	[ "$output" = 0 ] || [[ $output == '22 '*'cannot write'* || $output == '27 '*'cannot write'* ]]
	[ "$(du -s "$store" | cut -f1)" -lt 100000 ]
	[ "$output" != 0 ] || removed
}

# some_pulled GROUP: every 15th of a group as a registry would send it. skopeo reads the archive's layout.
some_pulled() {
	local name limit code words said n=0
	command -v skopeo > /dev/null || skip 'needs skopeo'
	"$hostile" -l "$1" > "$BATS_TEST_TMPDIR/rows"
	while read -r name limit code words; do
		[ $((n++ % 15)) = 0 ] || continue
		rm -rf "$BATS_TEST_TMPDIR/layout"
		mkdir "$BATS_TEST_TMPDIR/layout"
		"$hostile" "$name" | tar -C "$BATS_TEST_TMPDIR/layout" -xf -
		said=$(timeout 120 "$PODFS_IMAGE" pull "$state" "oci:$BATS_TEST_TMPDIR/layout" "$limit" 60 3>&1 1>&2 < /dev/null | tail -n 1)
		echo "$name: $said"
		[[ $said == "$code "*"$words"* ]]
		# Whole layers of an image that could not be had stay, until somebody cleans.
		[ "$("$PODFS_IMAGE" clean "$state" 3>&1)" = 0 ]
		nothing_changed
	done < "$BATS_TEST_TMPDIR/rows"
}

@test 'pulled: what layers try' {
	local group
	for group in names links inodes headers sparse compressed; do
		some_pulled "$group"
	done
}

# What an unpacker that a layer has taken over could do to the processes that keep their rights: it may write
# anything anywhere in the store. skopeo is a script here which stops in the middle.
stop_in_the_middle() {
	[ -z "${PODFS_SANITIZED:-}" ] || skip 'sanitizers need the root they have'
	mkfifo "$BATS_TEST_TMPDIR/begun" "$BATS_TEST_TMPDIR/go"
	mkdir "$BATS_TEST_TMPDIR/bin"
	cat > "$BATS_TEST_TMPDIR/bin/skopeo" <<-END
		#!/bin/sh
		layout=\$PWD/layout
		echo \$\$ > '$BATS_TEST_TMPDIR/begun'
		read go < '$BATS_TEST_TMPDIR/go'
		for f in oci-put-blob1 index.json blobs/sha256/x; do
			echo evil > \$layout/\$f
		done
		exit 1
	END
	chmod 755 "$BATS_TEST_TMPDIR/bin/skopeo"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH "$PODFS_IMAGE" pull "$state" docker://h.example/x "$max" 60 \
		3> "$BATS_TEST_TMPDIR/said" > "$BATS_TEST_TMPDIR/words" 2>&1 < /dev/null &
	puller=$!
	read -r skopeo < "$BATS_TEST_TMPDIR/begun"
	work=$(echo "$store"/tmp/*)
	[ -d "$work/layout" ]
}
go_on() {
	echo > "$BATS_TEST_TMPDIR/go"
	wait "$puller" || true
	[ -s "$BATS_TEST_TMPDIR/said" ]
	rm -rf "$store"/tmp/*
	nothing_changed
}

@test 'a fetcher follows no link that an unpacker put in its way' {
	stop_in_the_middle
	rm -r "$work/layout"
	ln -s "$outside/dir" "$work/layout"
	go_on
}

@test 'a fetcher follows no link in place of its work folder' {
	mkdir -p "$outside/dir/layout/blobs/sha256"
	before=$(everything)
	stop_in_the_middle
	mv "$work" "$work.away"
	ln -s "$outside/dir" "$work"
	go_on
}

@test 'a fetcher opens no device that an unpacker put in its way' {
	stop_in_the_middle
	truncate -s 1M "$BATS_TEST_TMPDIR/disk"
	disk=$(losetup -f --show "$BATS_TEST_TMPDIR/disk") || skip 'no loop device'
	rm -f "$work/layout/index.json"
	mknod "$work/layout/index.json" b $(stat -c '0x%t 0x%T' "$disk")
	go_on
	blockdev --flushbufs "$disk"
	losetup -d "$disk"
	cmp "$BATS_TEST_TMPDIR/disk" <(head -c 1M /dev/zero)
}

# confined PID: what the kernel says of its rights
confined() {
	local status=/proc/$1/status caps
	# chown dac_override fowner fsetid mknod sys_admin setfcap
	caps=$(printf '%016x' $((1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 21 | 1 << 27 | 1 << 31)))
	[ "$(awk '/^Cap(Inh|Prm|Eff|Amb|Bnd):/ { print $2 }' "$status" | paste -sd' ' | cut -d' ' -f2,3)" = "$caps $caps" ]
	[ "$(awk '/^(NoNewPrivs|Seccomp):/ { print $2 }' "$status" | paste -sd' ')" = '1 2' ]
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ "$(readlink "/proc/$1/ns/ipc")" != "$(readlink /proc/self/ns/ipc)" ]
	[ "$(readlink "/proc/$1/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
	# The store is its only mount, and its root.
	[ "$(awk '{ print $5 }' "/proc/$1/mountinfo")" = / ]
	[[ ,$(awk '{ print $6 }' "/proc/$1/mountinfo"), == *,nosuid,nodev,noexec,* ]]
	[ "$(stat -Lc %i "/proc/$1/root")" = "$(stat -c %i "$store")" ]
	[ "$(stat -Lc %i "/proc/$1/cwd")" = "$(stat -c %i "$store")" ] || [[ $(readlink "/proc/$1/cwd") == /tmp/* ]]
	[ "$(awk '/^Max core file size/ { print $5 }' "/proc/$1/limits")" = 0 ]
	no_folder_from_outside "$1"
}

# A folder's descriptor leads out by its `..`: those that it has are of its own mount.
no_folder_from_outside() {
	local fd mine
	mine=$(awk '{ print $1 }' "/proc/$1/mountinfo")
	for fd in "/proc/$1"/fd/*; do
		[ -d "$fd" ] || continue
		[ "$(awk '/^mnt_id:/ { print $2 }' "/proc/$1/fdinfo/${fd##*/}")" = "$mine" ]
	done
}

@test 'while an import runs: what rights it has' {
	[ -z "${PODFS_SANITIZED:-}" ] || skip 'sanitizers need the root they have'
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	"$PODFS_IMAGE" import "$state" x "$max" 3> /dev/null < "$BATS_TEST_TMPDIR/pipe" 9>&- &
	local pid=$!
	exec 9> "$BATS_TEST_TMPDIR/pipe"
	# More than a pipe holds: it is reading.
	head -c 600000 "${PODFS_TEST_CACHE:-/var/cache/podfs-tests}/busybox.tar" >&9
	confined "$pid"
	exec 9>&-
	wait "$pid" || true
}

@test 'while a pull runs: skopeo keeps its rights, the unpacker and its workers do not' {
	stop_in_the_middle
	local unpacker worker
	unpacker=$(pgrep -P "$puller" -x podfs-image)
	[ "$(stat -Lc %i "/proc/$skopeo/root")" = "$(stat -c %i /)" ]
	[ "$(readlink "/proc/$skopeo/ns/net")" = "$(readlink /proc/self/ns/net)" ]
	[ "$(ls "/proc/$skopeo/fd" | grep -vcE '^(0|1|2|10|255)$')" = 0 ]
	# A layer that does not go on: gzip's magic, then nothing.
	printf '\037\213\010' > "$work/layout/oci-put-blob7"
	worker=
	for _ in $(seq 200); do
		worker=$(pgrep -P "$unpacker" -x podfs-image) && break
		read -rt 0.05 <> <(:) || :
	done
	confined "$unpacker"
	confined "$worker"
	go_on
}
