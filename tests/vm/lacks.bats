# Kernels that lack what the pods' network is made of: in a guest, where modules can be hidden. On the
# machine itself this would hide nothing from a kernel that has them already, so tests/vm/cases alone runs it.

load ../cases/lib
load ../cases/net

setup() { new_instance; }

modules() { echo "/usr/lib/modules/$(uname -r)/kernel"; }
hidden() { [ ! -e "/sys/module/$1" ] || skip "$1 is loaded"; }

@test "no bridges: a pod has lo, an event says why, and all else works" {
	hidden bridge
	mount -t tmpfs none "$(modules)/net/bridge"
	mount_podfs
	run_pod web "$forever"
	[ "$(inside web ip -o link | wc -l)" -eq 1 ]
	inside web ping -qc 1 -W 5 127.0.0.1
	is bridge "$P/web/network"
	is '' "$P/web/ip"
	is Running "$P/web/status"
	[ "$(in_container web hostname)" = web ]
	has 'bridge|network' "$P/web/events"
	has '^127\.0\.0\.1[[:space:]]+web$' "$P/web/hosts"
	fails '' bash -c "echo 8080:80 >'$P/web/ports'"
	said ports "$P/web/error"
	is '' "$P/web/ports"
	echo none >"$P/web/network" || true
	rmdir "$P/web"
	within 10 none_leaving
	is '' "$P/.node/leaks"
	unmount_podfs
	umount "$(modules)/net/bridge"
}

@test "no nftables of family inet: pods have addresses, meet each other and the host; ports are refused in words" {
	! host nft add table inet x 2>/dev/null || skip "this kernel has them"
	mount_podfs
	web web
	mkdir "$P/other"
	reaches web
	pages other 80 web "$(ip4 web)"
	pages host 80 web "$(ip4 web)"
	fails 'not supported' bash -c "echo 8080:80 >'$P/web/ports'"
	said nftables "$P/web/error"
	is '' "$P/web/ports"
	has nftables "$P/.node/events"
}
