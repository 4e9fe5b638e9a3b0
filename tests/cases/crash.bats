# Killed at any step that leaves a trace, an operation is done or undone: tests/chaos/crash_points.
#
# A sample of the points, another one each time; its seed is in what it says. CRASH_POINTS=all: every point, some minutes.
# plain
# long

load lib

setup() { :; }
teardown() { :; }

crash_points() {
	# LeakSanitizer can't work where somebody traces.
	ASAN_OPTIONS=detect_leaks=0 "$BATS_TEST_DIRNAME/../chaos/crash_points" -b "$PODFS_BUILD" "$@"
}

@test "mkdir, settings, image, start, stop, rmdir, import: done or undone" {
	local n=${CRASH_POINTS:-${SANITIZED:+15}}
	case $n in
	all) crash_points ;;
	*) crash_points -n "${n:-70}" ;;
	esac
}

@test "an image whose import died behind its commit is there" {
	local n
	for n in 0 -1 -2; do crash_points -a "import:podfs-image:program:$n"; done
}
