# Images: what cp imports, what ls and cat show, what rm removes, what is refused.

load lib

images=.node/images
works() {
	run_pod x 'echo works'
	[ "$(timeout 10 cat "$P/x/wait/ended")" = 0 ] && [ "$(cat "$P/x/logs/x")" = works ] && rmdir "$P/x"
}
# store is as empty as it was
empty_store() {
	[ -z "$(ls "$P/$images")" ]
	[ -z "$(find "$T/state/images/tmp" -mindepth 1)" ]
	within 5 no_layers
}
no_layers() { [ -z "$(find "$T/state/images/layers" "$T/state/images/refs" -mindepth 1 -maxdepth 1 2>/dev/null)" ]; }

@test "OCI layout with gzip, zstd and plain layers, and docker save" {
	local kind
	for kind in busybox busybox-zstd busybox-plain busybox-docker; do
		cp "$IMAGES/$kind.tar" "$P/$images/busybox"
		works
		rm "$P/$images/busybox"
	done
	within 5 empty_store
}

@test "whiteouts and opaque folders" {
	import two
	mkdir "$P/x"
	echo "$forever" >"$P/x/command"
	echo two >"$P/x/image"
	[ "$(in_container x 'cd /data; find . | sort | paste -sd" "')" = \
		'. ./a ./b ./dir ./dir/y ./now-a-dir ./now-a-dir/inside ./now-a-file ./opaque ./opaque/new' ]
	[ "$(in_container x 'cat /data/b /data/now-a-file')" = $'upper b\nupper now-a-file' ]
}

@test "names are normalised as everywhere" {
	import busybox
	local name
	for name in busybox busybox:latest library/busybox docker.io/busybox docker.io/library/busybox:latest; do
		[ -e "$P/$images/$name" ] || { echo "no $name"; return 1; }
		grep -q 'docker.io/library/busybox:latest' "$P/$images/$name"
	done
	[ "$(ls "$P/$images")" = busybox ]
	cp "$IMAGES/busybox.tar" "$P/$images/docker.io/library/busybox:latest" 2>/dev/null || true
	mkdir "$P/x"
	echo 'echo hi' >"$P/x/command"
	echo docker.io/library/busybox:latest >"$P/x/image"
	is 0 "$P/x/wait/ended"
	# slashes are folders; that of a registry is there, others are made
	mkdir "$P/$images/registry.example:5000/team"
	cp "$IMAGES/busybox.tar" "$P/$images/registry.example:5000/team/app:v1"
	[ -d "$P/$images/registry.example:5000/team" ]
	[ "$(ls "$P/$images/registry.example:5000/team")" = app:v1 ]
	rm "$P/$images/registry.example:5000/team/app:v1"
	[ ! -e "$P/$images/registry.example:5000/team/app:v1" ]
	cp "$IMAGES/busybox.tar" "$P/$images/localhost:5000/app:1"
	ls "$P/$images" | grep -qx localhost:5000
	rm "$P/$images/localhost:5000/app:1"
	! ls "$P/$images" | grep -qx localhost:5000
}

@test "cat tells what is in it" {
	import config
	cat "$P/$images/config" >"$T/about"
	for word in sha256: 8080 app /home/app SIGQUIT 'hello world'; do grep -qF -- "$word" "$T/about" || { echo "no $word"; cat "$T/about"; return 1; }; done
	ls -l "$P/$images/config" | grep -qE '^-r'
	[ "$(stat -c %Y "$P/$images/config")" -ge $(($(date +%s) - 300)) ]
}

@test "entrypoint, cmd, user, folder and environment of the image" {
	import config
	mkdir "$P/x"
	echo config >"$P/x/image"
	is 0 "$P/x/wait/ended"
	grep -qx 'one two words' "$P/x/logs/x"
	grep -q 'uid=1000(app)' "$P/x/logs/x"
	grep -qx /home/app "$P/x/logs/x"
	grep -qx 'GREETING=hello world' "$P/x/logs/x"
	grep -qx 'EMPTY=' "$P/x/logs/x"
}

@test "rm: busy while a container uses it, then gone" {
	run_pod web "$forever"
	fails 'busy' rm "$P/$images/busybox"
	grep -q 'busybox: used by' "$P/.node/error"
	[ -e "$P/$images/busybox" ]
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	within 5 none_leaving
	rm "$P/$images/busybox"
	within 5 empty_store
	fails 'No such file' rm "$P/$images/busybox"
}

@test "layers are shared, and kept while one image needs them" {
	import busybox
	import busybox other:1
	[ "$(find "$T/state/images/layers" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
	rm "$P/$images/busybox"
	mkdir "$P/x"
	echo 'echo hi' >"$P/x/command"
	echo other:1 >"$P/x/image"
	is 0 "$P/x/wait/ended"
}

@test "an import of a name that is there replaces it; what runs goes on" {
	run_pod web "$forever"
	cp "$IMAGES/config.tar" "$P/$images/busybox"
	is Running "$P/web/status"
	in_container web 'ls /bin/busybox'
	grep -q SIGQUIT "$P/$images/busybox"
}

@test "images are there again after another mount" {
	import busybox
	cat "$P/$images/busybox" >"$T/before"
	unmount_podfs
	mount_podfs
	diff "$T/before" "$P/$images/busybox"
	works
}

# broken NAME: the archive $T/bad.tar is refused, said so, and nothing is left.
broken() {
	if cp "$T/bad.tar" "$P/$images/$1" 2>/dev/null; then
		echo "$1 was taken"
		return 1
	fi
	tail -n 1 "$P/.node/error" | grep -q "$1" || { echo "$1: said: $(tail -n 1 "$P/.node/error")"; return 1; }
	echo "# $(tail -n 1 "$P/.node/error")"
	empty_store
}
# a docker archive of the layer $T/layer.tar
archive() {
	rm -rf "$T/a" && mkdir "$T/a"
	cp "$T/layer.tar" "$T/a/layer.tar"
	echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:${1:-$(sha256sum "$T/layer.tar" | cut -d' ' -f1)}\"]}}" >"$T/a/config.json"
	echo '[{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}]' >"$T/a/manifest.json"
	tar -C "$T/a" -cf "$T/bad.tar" manifest.json config.json layer.tar
}

@test "broken archives: rubbish, nothing, half, a wrong digest, no manifest" {
	head -c 50000 /dev/urandom >"$T/bad.tar"
	broken rubbish
	head -c 40000 "$IMAGES/busybox.tar" >"$T/bad.tar"
	broken half
	: >"$T/layer.tar"
	tar -cf "$T/bad.tar" -C "$T" layer.tar
	broken nomanifest
	tar -cf "$T/layer.tar" -C "$BATS_TEST_DIRNAME" lib.bash
	archive "$(printf '%064d' 0)"
	broken digest
	echo '{"a":' >"$T/a/manifest.json"
	tar -C "$T/a" -cf "$T/bad.tar" manifest.json config.json layer.tar
	broken json
	mkdir "$T/oci"
	tar -C "$T/oci" -xf "$IMAGES/busybox.tar"
	find "$T/oci/blobs" -type f -size +100k -exec sh -c 'printf x | dd of="$1" bs=1 seek=5000 conv=notrunc status=none' _ {} \;
	tar -C "$T/oci" -cf "$T/bad.tar" .
	broken changed
}

@test "hostile archives write nothing outside the store" {
	local victim=$T/victim
	mkdir "$victim"
	cd "$T"
	# absolute and dotted names, links that lead out, and what is written through them
	mkdir src && echo evil >src/evil
	tar -P -cf layer.tar --transform "s#src/evil#$victim/abs#" src/evil
	archive
	cp bad.tar "$P/$images/abs" 2>/dev/null || true
	tar -P -cf layer.tar --transform 's#src/evil#../../../../../../../../../../..'"$victim"'/dots#' src/evil
	archive
	cp bad.tar "$P/$images/dots" 2>/dev/null || true
	ln -s "$victim" src/link
	tar -cf layer.tar -C src link
	tar -rf layer.tar --transform 's#evil#link/through#' -C src evil
	archive
	cp bad.tar "$P/$images/link" 2>/dev/null || true
	echo kept >"$victim/kept"
	ln "$victim/kept" src/hard 2>/dev/null
	tar -P -cf layer.tar --transform "s#^src/hard#$victim/kept#;s#^src/zhard#zhard#" src/hard
	archive
	cp bad.tar "$P/$images/hard" 2>/dev/null || true
	[ "$(ls "$victim")" = kept ]
	[ "$(cat "$victim/kept")" = kept ]
	rm -f "$P/$images"/*
	cd /
	within 5 empty_store
}

@test "an import that is broken off leaves nothing" {
	timeout -s KILL 0.5 bash -c "{ head -c 200000 '$IMAGES/busybox.tar'; exec sleep 100; } > '$P/$images/half'" || true
	within 5 empty_store
	timeout 5 ls "$P" >/dev/null
}

@test "image_max bounds what an image unpacks to" {
	unmount_podfs
	mount_podfs image_max=1M
	head -c 20000000 /dev/zero >"$T/zeros"
	tar -cf "$T/layer.tar" -C "$T" zeros
	archive
	gzip -1 "$T/a/layer.tar" && mv "$T/a/layer.tar.gz" "$T/a/layer.tar"
	tar -C "$T/a" -cf "$T/bad.tar" manifest.json config.json layer.tar
	broken bomb
}

@test "two imports at once" {
	local one two
	cp "$IMAGES/busybox.tar" "$P/$images/one" &
	one=$!
	cp "$IMAGES/busybox-zstd.tar" "$P/$images/two" &
	two=$!
	cp "$IMAGES/config.tar" "$P/$images/three"
	wait_for $one $two
	[ "$(ls "$P/$images" | paste -sd' ')" = 'one three two' ]
}
