# shellcheck shell=bash disable=SC2034,SC2154,SC2086
# The pods' network: from the client's start until the pod has answered an echo, for one of few and for one of 500, and TCP from pod to
# pod. Sourced by tests/bench/run, runs inside the place (place.sh).
#
# podfs and the floor have IPv4 and IPv6, and both must answer; the others IPv4 alone (LXC's IPv6 is ready 2 s later: it waits for
# duplicate address detection). Each has a bridge of its own; addresses are fixed where they can't be read.
# podfs has a second mount here, with `network = bridge`; the other tests' has none, as their peers have.

NP=$S/net-pods
RAW=benchbr0                 # the floor's bridge, and LXC's
raw_ips="10.99.0.9 fd99::9"
PODMAN_NET=10.99.1 DOCKER_NET=10.99.2 CNI_NET=10.99.3
# NET_QUIET: namespaces that end hold the kernel's rtnl lock for a while.

# --- set-up and end ---

# What ip(8) users write, in as few processes as it can be. NAME NUMBER
write_raw() {
	cat >"$S/raw-up" <<-E
		#!/bin/sh
		ip netns add "\$1" && printf '%s\n' "link add v\$1 type veth peer name eth0 netns \$1" \\
			"link set v\$1 master $RAW up" | ip -batch - &&
		printf '%s\n' 'link set lo up' "addr add 10.99.0.\$2/24 dev eth0" "addr add fd99::\$2/64 dev eth0 nodad" \\
			'link set eth0 up' 'route add default via 10.99.0.1' 'route add default via fd99::1' | ip -n "\$1" -batch -
	E
	chmod +x "$S/raw-up"
}
up_raw() {
	write_raw
	[ ! -e /sys/class/net/$RAW ] || return 0
	ip link add $RAW type bridge
	ip addr add 10.99.0.1/24 dev $RAW
	ip addr add fd99::1/64 dev $RAW nodad
	ip link set $RAW up
}
up_net_podfs() {
	mkdir -p "$NP"
	printf '[node]\nnetwork = bridge\n' >"$S/podfs-net.conf"
	mountpoint -q "$NP" || "$build/tools/podfs" -o "state=$S/podfs-net,run=$R/podfs-net,config=$S/podfs-net.conf" "$NP" || return 1
	[ -e "$NP/stays" ] || mkdir "$NP/stays" # the bridge goes with the last pod, and the others' take longer than that
}
# ctr looks for both in fixed places, which the machine may not have: these are seen in the place only.
up_cni() {
	[ ! -e /opt/cni/bin/bridge ] || return 0
	mkdir -p "$R/etc" "$R/work"
	mount -t tmpfs tmpfs /opt && mkdir /opt/cni && ln -s /usr/lib/cni /opt/cni/bin &&
		mount -t overlay -o "lowerdir=/etc,upperdir=$R/etc,workdir=$R/work" overlay /etc &&
		mkdir -p /etc/cni && mount -t tmpfs tmpfs /etc/cni && mkdir /etc/cni/net.d || return 1
	cat >/etc/cni/net.d/bench.conflist <<-E
		{ "cniVersion": "0.4.0", "name": "bench", "plugins": [ { "type": "bridge", "bridge": "benchcni0", "isGateway": true,
		  "ipMasq": false, "ipam": { "type": "host-local", "dataDir": "$R/cni", "ranges": [ [ { "subnet": "$CNI_NET.0/24",
		  "rangeStart": "$CNI_NET.9", "rangeEnd": "$CNI_NET.9" } ] ], "routes": [ { "dst": "0.0.0.0/0" } ] } } ] }
	E
}
net_up() {
	up_raw
	has podfs && up_net_podfs
	has podman && ! $PODMAN network exists bench && $PODMAN network create --subnet $PODMAN_NET.0/24 bench >/dev/null
	has docker && ! $DOCKER network inspect bench >/dev/null 2>&1 && $DOCKER network create --subnet $DOCKER_NET.0/24 bench >/dev/null
	has lxc && lxc_config n && sed -i "s|^lxc.net.0.type.*|lxc.net.0.type = veth\nlxc.net.0.link = $RAW\nlxc.net.0.flags = up\n\
lxc.net.0.ipv4.address = 10.99.0.9/24\nlxc.net.0.ipv4.gateway = 10.99.0.1|" "$LXC/n/config"
	has ctr && [ -e /usr/lib/cni/bridge ] && up_cni && have_cni=1
	return 0
}
none_leaves() { [ -z "$(cat "$NP/.node/leaving")" ]; }
# What the next place would find: the network that podman keeps in a file.
net_down() {
	if mountpoint -q "$NP"; then
		rmdir "$NP"/* 2>/dev/null
		until_works none_leaves
		umount "$NP"
	fi
	have podman && $PODMAN network rm -f bench >/dev/null 2>&1
	return 0
}

# --- the first answer ---

answered() { echo "$S/build/tests/bench/answered $*"; }

lines_net_podfs() {
	echo "podfs: mkdir to first answers||$(answered $NP/b@U/ip -- mkdir $NP/b@U)|rmdir $NP/b@U"
	echo "podfs: mkdir||mkdir $NP/b@U|rmdir $NP/b@U"
}
lines_net_raw() {
	echo "floor: ip netns, veth, to first answers||$(answered $raw_ips -- $S/raw-up b@U 9)|ip netns del b@U"
}
lines_net() {
	has podfs && lines_net_podfs
	has podfs && echo "podfs: mkdir, network none||mkdir $P/b@U|rmdir $P/b@U"
	lines_net_raw
	has lxc && echo "lxc-start, IPv4||$(answered ${raw_ips% *} -- lxc-start -P $LXC -n n -d)|lxc-stop -k -P $LXC -n n"
	has podman && echo "podman run -d, IPv4||$(answered $PODMAN_NET.9 -- $PODMAN run -d --network bench:ip=$PODMAN_NET.9 --name b@U $IMAGE \
		/bin/pause)|$PODMAN rm -f -t 0 b@U"
	has podman && echo "podman pod, IPv4||$(answered $PODMAN_NET.9 -- sh -c "'$PODMAN pod create --network bench:ip=$PODMAN_NET.9 --name b@U &&" \
		"$PODMAN pod start b@U'")|$PODMAN pod rm -f -t 0 b@U"
	has docker && echo "docker run -d, IPv4||$(answered $DOCKER_NET.9 -- $DOCKER run -d --network bench --ip $DOCKER_NET.9 --name b@U $IMAGE \
		/bin/pause)|$DOCKER rm -f b@U"
	has cni && echo "ctr run --cni, IPv4||$(answered $CNI_NET.9 -- $CTR run -d --cni $IMAGE b@U /bin/pause)|$CTR task kill -s 9 b@U;" \
		"$CTR task rm -f b@U; $CTR container rm b@U; rm -rf $R/cni" # it never tells the plugin
}

crowd_up() { for ((i = 2; i < CROWD; i++)); do mkdir "$NP/crowd$i" || return 1; done; }
crowd_down() {
	rmdir "$NP"/crowd* 2>/dev/null
	until_works none_leaves
}

# The medians of this run by test and name.
median_of() { awk -F '\t' -v t="$1" -v n="$2" '$1 == t && $2 == n { m = $3 } END { print m }' "$results"; }

compare() { # NAME WHAT
	awk -v one="$(median_of net "$1")" -v many="$(median_of "net-$CROWD" "$1")" -v what="$2" \
		'BEGIN { if (one && many) printf "   %s takes %.2f times as long as beside few\n", what, many / one }' | tee -a "$S/results.txt"
}

test_net() {
	local t first="podfs: mkdir to first answers" floor="floor: ip netns, veth, to first answers"
	net_up
	lines_net | timed net "$ROUNDS" -g "$NET_QUIET"
	has podfs || return 0
	t=${EPOCHREALTIME/./}
	crowd_up || echo "   no $CROWD pods: $(tail -n 1 "$NP/.node/error" 2>/dev/null)"
	echo "   $(find "$NP" -maxdepth 1 -name 'crowd*' | wc -l) more pods made in $(((${EPOCHREALTIME/./} - t) / 1000)) ms"
	{ lines_net_podfs; lines_net_raw; } | timed "net-$CROWD" "$ROUNDS" -g "$NET_QUIET"
	crowd_down
	compare "$first" "pod $CROWD"
	compare "$floor" "the floor beside them"
}

# --- TCP from pod to pod ---

# NAME|NAMESPACE OF THE SERVER|OF THE CLIENT|ADDRESS lines; makes the pods.
speed_pairs() {
	local i family
	if has podfs; then
		mkdir "$NP/s1" "$NP/s2"
		while read -r i; do
			case $i in *:*) family=IPv6 ;; *) family=IPv4 ;; esac
			echo "podfs, $family|$NP/s1/ns/net|$NP/s2/ns/net|${i%/*}"
		done <"$NP/s1/ip"
	fi
	for i in 1 2; do "$S/raw-up" s$i 10$i; done
	echo "floor: ip netns, veth, IPv4|/run/netns/s1|/run/netns/s2|10.99.0.101"
	if has podman; then
		for i in 1 2; do $PODMAN run -d --network bench:ip=$PODMAN_NET.10$i --name s$i $IMAGE /bin/pause >/dev/null 2>&1; done
		echo "podman, IPv4|/proc/$($PODMAN inspect -f '{{.State.Pid}}' s1)/ns/net|/proc/$($PODMAN inspect -f '{{.State.Pid}}' s2)/ns/net|$PODMAN_NET.101"
	fi
}
speed_down() {
	has podfs && rmdir "$NP/s1" "$NP/s2"
	has podman && $PODMAN rm -f -t 0 s1 s2 >/dev/null 2>&1
	ip netns del s1
	ip netns del s2
}
listens() { nsenter --net="$1" ss -Hltn "sport = :5201" | grep -q .; }

# Gbit/s of one connection, as the receiver counts it.
speed_of() {
	nsenter --net="$1" iperf3 -J -c "$2" -t "$SPEED_S" -O 0.5 | jq '.end.sum_received.bits_per_second // empty | . / 1e9'
}

test_net-speed() {
	local name server client address round pids=() pairs=$R/pairs got=$R/speeds
	net_up
	speed_pairs >"$pairs"
	: >"$got"
	while IFS='|' read -r name server client address; do
		listens "$server" && continue
		nsenter --net="$server" iperf3 -s >/dev/null 2>&1 </dev/null &
		pids+=($!)
		until_works listens "$server"
	done <"$pairs"
	echo "-- net-speed, Gbit/s of one TCP connection: more is better, load $(cut -d' ' -f1 /proc/loadavg)"
	for ((round = 0; round < SPEED_ROUNDS; round++)); do
		while IFS='|' read -r name server client address; do
			printf '%s\t%s\n' "$name" "$(speed_of "$client" "$address" </dev/null)" >>"$got"
		done <"$pairs"
	done
	kill "${pids[@]}"
	speed_down
	cut -f1 "$got" | awk '!seen[$0]++' | while read -r name; do
		awk -F '\t' -v n="$name" '$1 == n && $2 != "" { print $2 }' "$got" | sort -n |
			awk -v n="$name" -v all="$SPEED_ROUNDS" '{ v[NR] = $1 }
				END { printf "net-speed\t%s\t%s\t%s\t%s\t%d\t%d\n", n, v[int(NR / 2) + 1] + 0, v[1] + 0, v[NR] + 0, NR, all - NR }'
	done | tee -a "$results" | table
}
