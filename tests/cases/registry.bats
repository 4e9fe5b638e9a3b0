# Images from real registries and other transports: which reference finds what, with which of the node's settings.
# plain

load lib
load registry

setup_file() {
	own_host
	start_registry plain
	start_tls_registry tls
	start_password_registry locked
	push plain nginx nginx:alpine
	push plain busybox library/busybox:latest
	push plain busybox team/app:1 --format v2s2
	push plain multi multi:latest --all
	push tls busybox busybox:latest
	push locked busybox busybox:latest --dest-creds alice:secret
}
teardown_file() { stop_registries; }

setup() {
	new_instance
	node_home
	chmod 755 "$T"
	mount_with_node "pull_backoff_base=0.2,users=nobody"
}

# says POD TEXT: it ran to its end and wrote that
says() {
	[ "$(ended "$1" 30)" = 0 ] || { cat "$P/$1/describe"; return 1; }
	is "$2" "$P/$1/logs/$1"
}
# hello REFERENCE [POD]: the image there runs. The pod goes again, the image stays.
hello() {
	pod x "$1" 'echo hello'
	says x hello
	rmdir "$P/x"
}
forget() { rm "$P/.node/images/$1"; }

@test "nginx: pulled, running, 200 from inside the pod's network, the access line in its log" {
	local ref
	ref=$(registry plain)/nginx:alpine
	mkdir "$P/podtest"
	timeout 5 bash -c "echo $ref > '$P/podtest/image'"
	runs podtest
	is Running "$P/podtest/status"
	within 10 answers
	within 5 has '"GET / HTTP/1.1" 200' "$P/podtest/logs/podtest"
	has '"GET / HTTP/1.1" 200' "$P/podtest/logs/podtest.stdout"
	has 'Pulling|ulled' "$P/podtest/events"
	[ "$(layers | wc -l)" -eq 3 ]
	# what runs is not asked for again
	mkdir "$P/second"
	echo "$ref" >"$P/second/image"
	is Running "$P/second/status"
}
answers() {
	[ "$(nsenter --net="$P/podtest/ns/net" curl -s -m 5 -o "$T/page" -w '%{http_code}' http://127.0.0.1/)" = 200 ] &&
		grep -q 'from the third layer' "$T/page"
}

@test "by tag, by digest, by both, and with docker://" {
	local host digest name
	host=$(registry plain)
	digest=$(digest_of "$host/library/busybox:latest")
	for name in "$host/library/busybox" "$host/library/busybox:latest" "$host/library/busybox@$digest" \
		"$host/library/busybox:latest@$digest" "docker://$host/library/busybox:latest"; do
		hello "$name"
		grep -q "$digest" "$P/.node/images/${name#docker://}"
	done
}

@test "docker.io stands where registries.conf says: a prefix, a mirror" {
	registries_conf <<-END
		[[registry]]
		prefix = "docker.io"
		location = "$(registry plain)"
		insecure = true
	END
	hello busybox
	[ -e "$P/.node/images/docker.io/library/busybox:latest" ]
	grep -q 'docker.io/library/busybox:latest' "$P/.node/images/busybox"
	hello library/busybox
	hello docker.io/library/busybox:latest
	forget busybox
	registries_conf <<-END
		[[registry]]
		location = "docker.io"
		[[registry.mirror]]
		location = "localhost:1/nobody-listens"
		[[registry.mirror]]
		location = "$(registry plain)"
		insecure = true
	END
	hello docker://busybox
}

@test "an index of several machines gives this one's; a manifest of schema 2 is as good" {
	local host want
	host=$(registry plain)
	want=$(host skopeo inspect --tls-verify=false --raw "docker://$host/multi" | jq -r '.manifests[].platform.architecture' | grep -v s390x)
	pod m "$host/multi"
	says m "$want"
	grep -q "$want" "$P/.node/images/$host/multi"
	[ "$(layers | wc -l)" -eq 2 ]
	host skopeo inspect --tls-verify=false --raw "docker://$host/team/app:1" | grep -q 'application/vnd.docker.distribution.manifest.v2+json'
	hello "$host/team/app:1"
}

@test "TLS: an authority that is not known is refused by name, a known one is not" {
	local host
	host=$(registry tls)
	pod x "$host/busybox" 'echo hello'
	fails_to_run x
	within 20 why_is x 'TLS|certificate'
	within 20 why_is x 'unknown authority'
	within 20 why_is x "$host"
	trust "$host"
	says x hello
}

@test "password: missing, wrong, right" {
	local host
	host=$(registry locked)
	pod x "$host/busybox" 'echo hello'
	fails_to_run x
	within 20 why_is x '401|nauthorized|redentials|authentication'
	login "$host" alice wrong
	within 20 tried_again x
	within 20 why_is x '401|nauthorized|redentials|authentication|password'
	! grep -rq secret "$P/x/why" "$P/x/events" "$P/.node/events"
	login "$host" alice secret
	says x hello
}
tried_again() { [ "$(grep -ciE 'unauthorized|credentials|authentication' "$P/$1/events")" -ge 2 ]; }

@test "policy.json decides" {
	local host
	host=$(registry plain)
	policy <<<'{"default":[{"type":"reject"}]}'
	pod x "$host/library/busybox" 'echo hello'
	fails_to_run x
	within 20 why_is x 'policy'
	[ -z "$(layers)" ]
	policy <<<"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"$host\":[{\"type\":\"insecureAcceptAnything\"}]}}}"
	says x hello
}

@test "what no registry has, and hosts that are none" {
	local what
	for what in library/nosuch library/busybox:nosuch "library/busybox@sha256:$(printf '%064d' 0)"; do
		pod x "$(registry plain)/$what"
		fails_to_run x
		within 20 why_is x 'no such|not known|unknown|not found'
		rmdir "$P/x"
	done
	pod x localhost:1/busybox
	fails_to_run x
	within 20 why_is x 'refused'
	rmdir "$P/x"
	pod x podfs.invalid/busybox
	fails_to_run x
	within 20 why_is x 'no such host|lookup|resolve'
	refused Invalid "$P/x/image" 'UPPER CASE'
	refused Invalid "$P/x/image" 'nginx@sha256:12'
	refused Invalid "$P/.node/pull" 'a//b'
}

@test "transports: oci, oci-archive, docker-archive, dir, containers-storage" {
	local ref place=$T/places
	mkdir "$place"
	cp "$IMAGES/busybox.tar" "$place/oci.tar"
	mkdir "$place/oci"
	tar -C "$place/oci" -xf "$IMAGES/busybox.tar"
	cp "$IMAGES/busybox-docker.tar" "$place/docker.tar"
	skopeo copy -q "oci:$place/oci:latest" "dir:$place/dir"
	skopeo copy -q "oci:$place/oci:latest" "containers-storage:[vfs@$place/storage+$place/run]localhost/busybox:1"
	for ref in "oci:$place/oci" "oci:$place/oci:latest" "oci-archive:$place/oci.tar" "oci-archive:$place/oci.tar:latest" \
		"docker-archive:$place/docker.tar" "docker-archive:$place/docker.tar:busybox:latest" "dir:$place/dir" \
		"containers-storage:[vfs@$place/storage+$place/run]localhost/busybox:1"; do
		echo "# $ref"
		hello "$ref"
	done
	# the same content came by all of them
	[ "$(layers | wc -l)" -eq 1 ]
	pod x "oci:$place/nowhere"
	fails_to_run x
	within 20 why_is x 'no such file|nowhere'
}

@test "what lies on the host is for root alone; a registry is for everybody" {
	local as='setpriv --reuid nobody --regid nogroup --clear-groups' ref
	mkdir "$T/oci"
	tar -C "$T/oci" -xf "$IMAGES/busybox.tar"
	$as mkdir "$P/x"
	for ref in "oci:$T/oci" "oci-archive:$IMAGES/busybox.tar" "docker-archive:$IMAGES/busybox-docker.tar" "dir:$T/oci" \
		'containers-storage:localhost/x'; do
		fails 'not permitted' $as bash -c "echo '$ref' > '$P/x/image'"
	done
	has 'root' "$P/x/error"
	is '' "$P/x/image"
	$as bash -c "echo 'echo hello' > '$P/x/command'"
	$as bash -c "echo '$(registry plain)/library/busybox' > '$P/x/image'"
	says x hello
}
