# The image store: trees that are what others unpack, what a killed pull leaves, what is in use stays, what goes by itself.
# plain
# long

load lib
load registry

setup_file() {
	own_host
	start_fake
	serve nasty nasty
	serve two two
}
teardown_file() { stop_registries; }

setup() {
	new_instance
	node_home
	rules
	requests_new
}

tree() { /usr/bin/python3 "$BATS_TEST_DIRNAME/tree.py" "$@"; }

# --- trees ---

# merged REF COMMAND…: runs it with the image's layers mounted at $T/merged, as containers see them.
merged() {
	local record lower
	record=$(grep -lF "$1" "$T/state/images/refs/"*.ini)
	lower=$(sed -n 's/^layer = //p' "$record" | tac | sed "s|^|$T/state/images/layers/|" | paste -sd:)
	mkdir -p "$T/merged"
	case $lower in
	*:*) mount -t overlay -o "ro,lowerdir=$lower" overlay "$T/merged" ;;
	*) mount --bind -o ro "$lower" "$T/merged" ;;
	esac
	shift
	"$@" || { umount "$T/merged"; return 1; }
	umount "$T/merged"
}

# same_tree WANT GOT [tree's OPTION…]
same_tree() {
	tree "${@:3}" "$1" >"$T/want.txt"
	tree "${@:3}" "$2" | sed 's/trusted\.[^=]*=[0-9a-f]*,*//g;s/\t\t/\t-\t/' >"$T/got.txt"
	[ "$(wc -l <"$T/want.txt")" -gt 2 ] || return 1
	[ ! -e "$T/unnamed" ] || leave_out "$T/unnamed" "$T/want.txt" "$T/got.txt"
	diff "$T/want.txt" "$T/got.txt" | cut -c1-300
	cmp -s "$T/want.txt" "$T/got.txt"
}

# unnamed_folders LAYOUT: those that a layer has files in and no entry for
unnamed_folders() {
	local blob
	for blob in $(skopeo inspect --raw "oci:$1:latest" | jq -r '.layers[].digest[7:]'); do
		tar -tzf "$1/blobs/sha256/$blob" --quoting-style=literal | sed 's|^\./||;s|/$||' | awk '
			{ named[$0] = 1; for (d = $0; sub(/\/?[^\/]*$/, "", d) || d != ""; ) { needed[d == "" ? "." : d] = 1; if (d == "") break } }
			END { for (d in needed) if (!(d in named) && !(d == "." && "" in named)) print d }'
	done | sort -u
}
# In a layer these are 0755 root:root and new, as they are for podman; umoci unpacks over the layer below, and so keeps what they were.
leave_out() { # NAMES TREE…
	local f
	for f in "${@:2}"; do
		awk -F '\t' -v OFS='\t' 'NR == FNR { skip[$0] = 1; next } $1 in skip { $2 = substr($2, 1, 1); $3 = $5 = $8 = "unnamed" } { print }' \
			"$1" "$f" >"$f.new"
		mv "$f.new" "$f"
	done
}

# as_umoci NAME: an image of tests/images. In memory: ext4 is slow in making files after many were removed.
as_umoci() {
	mkdir "$T/state" "$T/layout"
	EXTRA_MOUNT=$T/state
	mount -t tmpfs -o size=1G,mode=700 tmpfs "$T/state"
	mount_with_node
	tar -C "$T/layout" -xf "$IMAGES/$1.tar"
	unnamed_folders "$T/layout" >"$T/unnamed"
	umoci unpack --image "$T/layout:latest" "$T/state/bundle" >"$T/umoci.log" 2>&1
	echo "oci:$T/layout" >"$P/.node/pull"
	within 40 has_image "oci:$T/layout"
	merged "oci:$T/layout" same_tree "$T/state/bundle/rootfs" "$T/merged"
}

@test "a nasty image is unpacked to what umoci makes of it, file by file" {
	as_umoci nasty
	# umoci fills holes
	merged "oci:$T/layout" tree -b "$T/merged" >"$T/got"
	[ "$(grep -c 'in-pax/.*hole.*holes$' "$T/got")" -eq 2 ]
	grep -q 'security.capability=' "$T/got"
	grep -q '^in-pax/shared.d0755.0:0' "$T/got"
	[ "$(paste -sd' ' "$T/unnamed")" = 'in-pax/shared in-pax/shared/deeper' ]
	grep -q $'modes/disk\tb0600.*259:70000' "$T/got"
}

@test "a Debian with nginx is unpacked to what umoci makes of it" {
	[ -z "$SANITIZED" ] || skip "once is enough"
	as_umoci nginx
	[ "$(wc -l <"$T/got.txt")" -gt 3000 ]
}

@test "holes in GNU's old format are holes again" {
	mount_with_node
	cp "$IMAGES/holes.tar" "$P/.node/images/holes"
	mkdir "$T/want"
	local blob
	blob=$(skopeo inspect --raw "oci-archive:$IMAGES/holes.tar:latest" | jq -r '.layers[0].digest[7:]')
	tar -xOf "$IMAGES/holes.tar" "./blobs/sha256/$blob" | tar -C "$T/want" -xSzf -
	merged holes same_tree "$T/want" "$T/merged" -b
	grep -q holes "$T/want.txt"
}

# --- kills ---

@test "a pull that is killed at any point leaves whole layers, and a store that works" {
	local points=200
	[ -z "$SANITIZED" ] || points=40
	points=${KILL_POINTS:-$points}
	mkdir "$T/state"
	EXTRA_MOUNT=$T/state
	mount -t tmpfs -o size=512M tmpfs "$T/state"
	rules '/blobs/ rate 16000000'
	export HOME=$NODE
	host /usr/bin/python3 "$BATS_TEST_DIRNAME/kill_points.py" "$PODFS_BUILD/runtime/image/podfs-image" "$T/state" "$(fake)/nasty" \
		"${KILL_SEED:-$RANDOM}" "$points" | tee "$T/said"
	sed 's/^/# /' "$T/said" >&3
	grep -q "$points kills" "$T/said"
}

# --- what is in use ---

replaced_layer() { sed -n 's/^layer = //p' "$T/state/images/refs/"*.ini | head -n 1; }
has_layer() { [ -d "$T/state/images/layers/$1" ]; }
has_no_layer() { ! has_layer "$1"; }

@test "layers of a replaced image stay while a container runs from them, over a restart of the server too" {
	mount_with_node
	make_image app '{"Cmd":["sh"]}'
	local old
	# a layer of its own
	mkdir "$T/extra"
	echo old >"$T/extra/which"
	layered app "$T/extra"
	old=$(replaced_layer)
	mkdir "$P/x"
	echo "$forever" >"$P/x/command"
	echo app >"$P/x/image"
	is old "$P/x/containers/x/root/which"
	echo new >"$T/extra/which"
	layered app "$T/extra"
	[ "$(replaced_layer)" != "$old" ]
	unmount_podfs
	mount_with_node
	kill -9 "$(server_pid)"
	within 10 server_answers
	"$PODFS_BUILD/runtime/image/podfs-image" clean "$T/state" 3>&1 | grep -qx 0
	has_layer "$old"
	in_container x 'cat /which; ls /bin/busybox' | grep -q old
	echo app >"$P/x/image"
	is new "$P/x/containers/x/root/which"
	within 20 has_no_layer "$old"
	in_container x 'cat /which' | grep -q new
}
server_answers() { timeout 2 cat "$P/x/status" 2>/dev/null | grep -q Running; }
# layered REF DIR: an image of one layer, busybox and what is in DIR
layered() {
	busybox_layer >"$T/one.tar"
	tar -C "$2" --append -f "$T/one.tar" .
	local dir=$T/image
	rm -rf "$dir" && mkdir "$dir"
	mv "$T/one.tar" "$dir/layer.tar"
	printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$(sha256sum "$dir/layer.tar" | cut -c1-64)" >"$dir/config.json"
	echo '[{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}]' >"$dir/manifest.json"
	tar -C "$dir" -cf "$T/image.tar" manifest.json config.json layer.tar
	cp "$T/image.tar" "$P/.node/images/$1"
}

# --- what goes by itself ---

# full_of NAME…: images of 3 MB each on a file system of 32 MB; the first was used the longest ago
full_of() {
	local name n=0 record
	mkdir -p "$T/state"
	EXTRA_MOUNT=$T/state
	"${MAKE_FS:-tmpfs_of_32M}"
	mount_with_node image_gc_high=100
	for name; do
		mkdir -p "$T/c"
		head -c 3000000 /dev/urandom >"$T/c/fill"
		layered "$name" "$T/c"
	done
	unmount_podfs
	for name; do
		record=$(grep -l "^written = $name\$" "$T/state/images/refs/"*.ini)
		sed -i "s/^imported = .*/imported = $((1600000000 + n++))000000000/" "$record"
	done
}
tmpfs_of_32M() { mount -t tmpfs -o size=32M,mode=700 tmpfs "$T/state"; }
ext4_of_32M() {
	truncate -s 32M "$T/disk"
	mkfs.ext4 -q -m 0 -N 4096 "$T/disk"
	mount -o loop "$T/disk" "$T/state" || skip "no loop devices here"
}
images_are() { [ "$(ls "$P/.node/images" | paste -sd' ')" = "$1" ]; }
used_percent() { df --output=pcent "$T/state" | tr -dc 0-9; }

@test "above the high mark the image used longest ago goes, and what containers name stays" {
	full_of a b c d
	# a is named, b was used last of all
	mount_with_node image_gc_high=100
	local before
	before=$(used_percent)
	mkdir "$P/x"
	echo "$forever" >"$P/x/command"
	echo a >"$P/x/image"
	mkdir "$P/y"
	echo 'true' >"$P/y/command"
	echo b >"$P/y/image"
	is 0 "$P/y/wait/ended"
	rmdir "$P/y"
	within 10 none_leaving
	unmount_podfs
	mount_with_node "image_gc_high=$((before - 1)),image_gc_low=$((before - 10))"
	within 20 images_are 'a b d'
	has 'full: image c goes' "$P/.node/events"
	in_container x 'ls /fill'
	unmount_podfs
	# as low as it can get: b is young, a is in use
	mount_with_node image_gc_high=1,image_gc_low=0
	within 20 images_are 'a b'
	within 20 grep -q 'containers name all images' "$P/.node/events"
	in_container x 'ls /fill'
}

@test "a pull that finds the disk full makes room" {
	MAKE_FS=ext4_of_32M
	full_of a b c d
	mount_with_node pull_backoff_base=0.1,image_gc_high=99,image_gc_low=70
	head -c "$(($(stat -f -c '%a * %S' "$T/state") - 1000000))" /dev/zero >"$T/state/ballast"
	echo "$(fake)/two" >"$P/.node/pull"
	within 40 has_image "$(fake)/two"
	run ! has_image a # the first to go
	[ "$(ls "$P/.node/images" | wc -l)" -lt 5 ]
}

@test ".node/df: layers once, and how much of them nobody uses" {
	mount_with_node
	import busybox
	grep -qE '^Images +1 +0 .*\(100%\)' "$P/.node/df"
	local size
	size=$(awk '$1 == "Images" { print $4 }' "$P/.node/df")
	import busybox other
	import config
	run_pod x "$forever"
	cat "$P/.node/df"
	grep -qE "^Images +3 +1 +$size +0 \(0%\)" "$P/.node/df"
	grep -qE '^Logs +1 +1 ' "$P/.node/df"
	grep -qF "$T/state" "$P/.node/df"
}
