# Registries on loopback for the cases of pulls: Debian's docker-registry, and one that misbehaves as it is told
# (fake_registry.py). Loaded after lib.bash.
#
# A file starts what it needs in setup_file, on a host for all of its instances (own_host), and calls stop_registries in teardown_file. They
# live below $BATS_FILE_TMPDIR, belong to no instance, and end with bats whatever happens. Ports are free ones: registry NAME's address is `$(registry NAME)`, the fake one's `$(fake)`.
#
# The node's configuration of an instance is a home folder of its own, $NODE: skopeo reads registries.conf, policy.json and certs.d
# in $NODE/.config/containers, auth.json is named by REGISTRY_AUTH_FILE. It is read by each skopeo, so it may be changed while mounted.

# --- registries ---

# background NAME COMMAND…: runs until stop_registries, or bats' end.
background() {
	local name=$1
	shift
	nsenter --net="$HOST" setpriv --pdeathsig KILL "$@" >"$BATS_FILE_TMPDIR/$name.log" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$BATS_FILE_TMPDIR/$name.pid"
}

# start_registry NAME [LINES]: LINES go into its configuration: `auth:` or, indented, under `http:`
start_registry() {
	local dir=$BATS_FILE_TMPDIR
	cat >"$dir/$1.yml" <<-END
		version: 0.1
		log: { level: error, accesslog: { disabled: true } }
		storage: { filesystem: { rootdirectory: $dir/$1 }, delete: { enabled: true } }
		${3:-}
		http:
		  addr: 127.0.0.1:0
		${2:-}
	END
	OTEL_TRACES_EXPORTER=none background "$1" docker-registry serve "$dir/$1.yml"
	within 20 listens "$1" || { cat "$dir/$1.log"; return 1; }
}
# Its port is the one that its process listens on.
listens() {
	local pid inodes
	pid=$(cat "$BATS_FILE_TMPDIR/$1.pid")
	inodes=$(readlink "/proc/$pid/fd/"* 2>/dev/null | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p' | paste -sd'|')
	awk -v "inodes=^($inodes)\$" '$4 == "0A" && $10 ~ inodes { print $2 }' "/proc/$pid/net/tcp" | sed 's/.*://' >"$BATS_FILE_TMPDIR/$1.hex"
	[ -s "$BATS_FILE_TMPDIR/$1.hex" ] && printf '%d' "0x$(cat "$BATS_FILE_TMPDIR/$1.hex")" >"$BATS_FILE_TMPDIR/$1.port"
}
registry() { echo "localhost:$(cat "$BATS_FILE_TMPDIR/$1.port")"; }

# make_ca: an authority of the file's own, and a certificate for localhost
make_ca() {
	local dir=$BATS_FILE_TMPDIR
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=tests of podfs' \
		-keyout "$dir/ca.key" -out "$dir/ca.crt" 2>"$dir/openssl.log"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=localhost' \
		-keyout "$dir/tls.key" -out "$dir/tls.csr" 2>>"$dir/openssl.log"
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' |
		openssl x509 -req -in "$dir/tls.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 2 -extfile /dev/stdin \
			-out "$dir/tls.crt" 2>>"$dir/openssl.log"
}
start_tls_registry() {
	make_ca
	start_registry "$1" "  tls: { certificate: $BATS_FILE_TMPDIR/tls.crt, key: $BATS_FILE_TMPDIR/tls.key }"
}
# The only user is alice, with the password secret.
start_password_registry() {
	htpasswd -Bbn -C 4 alice secret >"$BATS_FILE_TMPDIR/htpasswd"
	start_registry "$1" '' "auth: { htpasswd: { realm: test, path: $BATS_FILE_TMPDIR/htpasswd } }"
}

# push NAME ARCHIVE REPOSITORY:TAG [OPTION…]: an archive of tests/images
push() {
	local to
	to=docker://$(registry "$1")/$3
	host skopeo copy -q --dest-tls-verify=false "${@:4}" "oci-archive:$IMAGES/$2.tar:latest" "$to"
}
digest_of() { host skopeo inspect --tls-verify=false -f '{{.Digest}}' "docker://$1"; }

start_fake() {
	FAKE=$BATS_FILE_TMPDIR/fake
	export FAKE
	mkdir -p "$FAKE/images"
	background fake /usr/bin/python3 "${BASH_SOURCE[0]%/*}/fake_registry.py" "$FAKE"
	within 20 test -e "$FAKE/port" || { cat "$BATS_FILE_TMPDIR/fake.log"; return 1; }
}
fake() { echo "localhost:$(cat "$FAKE/port")"; }
# serve ARCHIVE NAME: the fake registry has it as NAME:latest
serve() {
	mkdir -p "$FAKE/images/$2"
	tar -C "$FAKE/images/$2" -xf "$IMAGES/$1.tar"
}
# rules [LINE…]: from now on; none: it behaves. requests_new begins the count anew.
rules() { printf '%s\n' "$@" | sed '/^$/d' >"$FAKE/rules.new" && mv "$FAKE/rules.new" "$FAKE/rules"; }
requests_new() { : >"$FAKE/requests"; }
requests() { grep -cE "$1" "$FAKE/requests" || true; }
requested() { [ "$(requests "$1")" -ge "${2:-1}" ]; }

stop_registries() {
	local f
	for f in "$BATS_FILE_TMPDIR"/*.pid; do
		[ -e "$f" ] || continue
		kill -KILL "$(cat "$f")" 2>/dev/null
		rm -f "$f"
	done
	[ -z "${FILE_HOST:-}" ] || umount "$FILE_HOST"
}

# --- the node's configuration ---

# Before the mount. $NODE lies in $T, so no other instance meets it.
node_home() {
	NODE=$T/node
	mkdir -p "$NODE/.config/containers"
	cp /etc/containers/policy.json "$NODE/.config/containers/"
	: >"$NODE/.config/containers/registries.conf"
	echo '{}' >"$NODE/auth.json"
}
mount_with_node() {
	env -u XDG_RUNTIME_DIR -u XDG_CONFIG_HOME HOME="$NODE" REGISTRY_AUTH_FILE="$NODE/auth.json" timeout 30 "$podfs" -o "$(options "${1:-}")" "$P"
}
# On stdin.
registries_conf() { cat >"$NODE/.config/containers/registries.conf"; }
policy() { cat >"$NODE/.config/containers/policy.json"; }
# trust HOST:PORT: the authority of make_ca
trust() {
	mkdir -p "$NODE/.config/containers/certs.d/$1"
	cp "$BATS_FILE_TMPDIR/ca.crt" "$NODE/.config/containers/certs.d/$1/"
}
# login HOST:PORT USER PASSWORD
login() { printf '{"auths":{"%s":{"auth":"%s"}}}' "$1" "$(printf %s "$2:$3" | base64 -w0)" >"$NODE/auth.json"; }

# --- words of the tests ---

# pod NAME REFERENCE [COMMAND]: a pod of one container; the image comes last.
pod() {
	mkdir "$P/$1"
	[ $# -lt 3 ] || echo "$3" >"$P/$1/command"
	echo "$2" >"$P/$1/image"
}
runs() { timeout "${2:-30}" cat "$P/$1/wait/running" >/dev/null; }
# fails_to_run POD: wait/running fails
fails_to_run() { ! timeout "${2:-30}" cat "$P/$1/wait/running" >/dev/null 2>&1 || { echo "$1 runs"; return 1; }; }
state() { timeout 10 cat "$P/$1/containers/${2:-$1}/state"; }
state_is() { state "$1" | grep -qE "$2"; }
why_is() { timeout 10 cat "$P/$1/why" | grep -qE "$2"; }
image_pids() { pgrep -f "^[^ ]*podfs-image .*$T/"; }
becomes_running() { within "${2:-30}" state_is "$1" '^running'; }
# has_image REF: there, not only on its way
has_image() { grep -qs sha256: "$P/.node/images/$1"; }
# pulling PATTERN: .node/pull has such a line
pulling() { grep -qE "$1" "$P/.node/pull"; }
layers() { find "$T/state/images/layers" -mindepth 1 -maxdepth 1; }
