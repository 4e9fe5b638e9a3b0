# Bandwidth limits and counters of a pod. It measures, so it runs by itself.
# alone
# plain

load lib
load net

# mbit FROM TO [IPERF-OPTION…]: what a second brings
mbit() {
	local from=$1 to=$2
	shift 2
	from "$from" iperf3 -c "$to" -t 1.5 -J "$@" | jq '.end.sum_received.bits_per_second / 1e6 | floor'
}
between() { [ "$3" -ge "$1" ] && [ "$3" -le "$2" ] || { echo "$3 Mbit/s is not between $1 and $2"; return 1; }; }

@test "net.ingress and net.egress limit what a pod receives and sends, live" {
	run_pod a "$forever"
	mkdir "$P/b"
	is max "$P/a/net.ingress"
	is max "$P/a/net.egress"
	peer b iperf3 -s
	within 10 listens b 5201
	echo 40M >"$P/a/net.ingress"
	echo 20M >"$P/a/net.egress"
	is 41943040 "$P/a/net.ingress"
	is 20971520 "$P/a/net.egress"
	between 10 23 "$(mbit a "$(ip4 b)")"
	between 20 46 "$(mbit a "$(ip6 b)" -R)"
	echo 100M >"$P/a/net.egress"
	between 50 115 "$(mbit a "$(ip6 b)")"
	# a transfer that stands is slowed down
	peer a iperf3 -c "$(ip4 b)" -t 3 -i 1 -J
	local transfer=$PEER
	echo 10M >"$P/a/net.egress"
	gone "$transfer"
	between 1 40 "$(jq '.intervals[-1].sum.bits_per_second / 1e6 | floor' "$T/peer.$transfer")"
	# they outlive the mount and a restart, and are there again for a new sandbox
	unmount_podfs
	mount_podfs
	is 10485760 "$P/a/net.egress"
	between 4 12 "$(mbit a "$(ip4 b)")"
	echo max >"$P/a/net.egress"
	: >"$P/a/net.ingress"
	is max "$P/a/net.ingress"
	between 200 1000000 "$(mbit a "$(ip4 b)")"
	between 200 1000000 "$(mbit a "$(ip4 b)" -R)"
}

@test "rates that are none" {
	mkdir "$P/a"
	for value in -1 fast 1 7999 10Q 1e30; do
		refused 'nvalid argument' "$P/a/net.ingress" "$value" || refused 'out of range' "$P/a/net.ingress" "$value"
		said 'net.ingress' "$P/a/error"
	done
	is max "$P/a/net.ingress"
}

stat_of() { sed -n "s/^$2 //p" "$P/$1/net.stat"; }

@test "net.stat counts what was sent and received, as the pod sees it" {
	run_pod a "$forever"
	mkdir "$P/b"
	cat "$P/a/net.stat"
	run ! grep -vE '^[a-z_.]+ [0-9]+$' "$P/a/net.stat"
	local sent received
	sent=$(stat_of a tx_bytes) received=$(stat_of a rx_bytes)
	peer b socat -u TCP4-LISTEN:7000 "OPEN:$T/got,creat"
	within 10 listens b 7000
	head -c 5000000 /dev/zero | inside a socat -u - "TCP4:$(ip4 b):7000"
	within 10 got_all
	within 10 counted a tx_bytes $((sent + 5000000)) $((sent + 5600000))
	counted b rx_bytes 5000000 5700000
	counted a rx_bytes "$received" $((received + 500000))
	# the kernel's own numbers
	[ "$(stat_of a tx_bytes)" -le "$(inside a sh -c 'ip -j -s link show eth0' | jq '.[0].stats64.tx.bytes')" ]
	# who has none says so
	mkdir "$P/none"
	echo none >"$P/none/network"
	run cat "$P/none/net.stat"
	[ "$status" -ne 0 ] || [ -z "$output" ]
}
got_all() { [ "$(stat -c %s "$T/got")" -eq 5000000 ]; }
counted() { # POD KEY LEAST MOST
	local n
	n=$(stat_of "$1" "$2")
	[ "$n" -ge "$3" ] && [ "$n" -le "$4" ] || { echo "$1 $2: $n is not between $3 and $4"; return 1; }
}
