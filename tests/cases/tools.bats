# What stands in tools/ for people: quickstart.

load lib

setup() { new_instance; }

quickstart() { BUILD=$PODFS_BUILD host timeout 120 "$1" "$BATS_TEST_DIRNAME/../../tools/quickstart" -o "$(options)" "$P"; }

@test "quickstart: to a pod's log, and again without harm" {
	quickstart dash >"$T/said" || { cat "$T/said"; return 1; }
	grep -q '^Hello from a pod. My hostname is hello' "$T/said"
	[ "$(ls "$P")" = hello ]
	grep -qx "$(head -n 1 "$P/hello/ip")" "$T/said"
	local pid
	pid=$(cat "$P/hello/containers/hello/pid")
	quickstart 'bash' >"$T/said"
	grep -q '^Hello from a pod. My hostname is hello' "$T/said"
	is "$pid" "$P/hello/containers/hello/pid"
}
