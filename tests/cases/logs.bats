# Logs: every byte as it was written, true sizes, rotation, followers, a full disk.

load lib

log=logs/web
size() { stat -c %s "$P/web/$1"; }
# follow COMMAND…: a follower that writes into $T/followed.
follow() { "$@" >"$T/followed" 2>"$T/follow.err" & follower=$!; }

@test "what was written, byte for byte, and its size" {
	run_pod web 'cat /bin/busybox'
	is 0 "$P/web/wait/ended"
	cmp "$P/web/$log" "$P/web/containers/web/root/bin/busybox"
	[ "$(size $log)" -eq "$(stat -c %s "$P/web/containers/web/root/bin/busybox")" ]
	[ "$(size $log.stdout)" -eq "$(size $log)" ]
	[ "$(size $log.stderr)" -eq 0 ]
	# from any place
	tail -c 1000 "$P/web/$log" | cmp - <(tail -c 1000 "$P/web/containers/web/root/bin/busybox")
	dd if="$P/web/$log" bs=1000 skip=77 count=3 status=none | cmp - <(dd if="$P/web/containers/web/root/bin/busybox" bs=1000 skip=77 count=3 status=none)
}

@test "stdout and stderr apart and together" {
	run_pod web 'sh -c "i=0; while [ $i -lt 50 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done"'
	is 0 "$P/web/wait/ended"
	diff "$P/web/$log.stdout" <(seq -f out%g 0 49)
	diff "$P/web/$log.stderr" <(seq -f err%g 0 49)
	diff <(sort "$P/web/$log") <({ seq -f out%g 0 49; seq -f err%g 0 49; } | sort)
	[ "$(size $log)" -eq $(($(size $log.stdout) + $(size $log.stderr))) ]
}

@test "each line with its time" {
	run_pod web 'sh -c "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three; sleep 0.2; echo four; printf five"'
	is 0 "$P/web/wait/ended"
	cat "$P/web/$log.timestamps" >"$T/lines"
	[ "$(wc -l <"$T/lines")" -eq 3 ]
	run ! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z ' "$T/lines"
	grep -qE 'Z (.* )?one$' "$T/lines"
	grep -qE 'Z (.* )?two$' "$T/lines"
	grep -qE 'Z (.* )?five$' "$T/lines"
	# they do not go back
	cut -d' ' -f1 "$T/lines" | sort -c
	[ "$(date -d "$(head -n 1 "$T/lines" | cut -d' ' -f1)" +%s)" -ge $(($(date +%s) - 60)) ]
}

@test "the log of the run before" {
	run_pod web 'sh -c "echo first; echo err1 >&2"'
	is 0 "$P/web/wait/ended"
	is '' "$P/web/$log.previous"
	echo 'echo second' >"$P/web/command"
	echo busybox >"$P/web/image"
	is 0 "$P/web/wait/ended"
	is second <(grep second "$P/web/$log")
	sort "$P/web/$log.previous" | paste -sd, | grep -qx 'err1,first'
	echo 'echo third' >"$P/web/command"
	echo busybox >"$P/web/image"
	is 0 "$P/web/wait/ended"
	is second "$P/web/$log.previous"
}

@test "a megabyte and a half of lines arrive in order" {
	run_pod web 'seq 1 250000'
	is 0 "$P/web/wait/ended"
	cmp "$P/web/$log" <(seq 1 250000)
	[ "$(grep -c '' "$P/web/$log")" -eq 250000 ]
	[ "$(grep -n '^123456$' "$P/web/$log")" = 123456:123456 ]
}

rotating() {
	unmount_podfs
	mount_podfs log_max=64K,log_files=3
}

@test "rotation: what is kept, and a size that only grows" {
	rotating
	run_pod web 'seq 1 100000'
	is 0 "$P/web/wait/ended"
	[ "$(size $log)" -eq "$(seq 1 100000 | wc -c)" ]
	cat "$P/web/$log" >"$T/kept"
	[ "$(wc -c <"$T/kept")" -ge 65536 ]
	[ "$(wc -c <"$T/kept")" -le $((4 * 65536 + 65536)) ]
	cmp "$T/kept" <(seq 1 100000 | tail -c "$(wc -c <"$T/kept")")
	tail -n 3 "$P/web/$log" | paste -sd, | grep -qx '99998,99999,100000'
	[ "$(du -sb "$T"/state/pods/*/logs | cut -f1)" -lt $((8 * 65536)) ]
}

for_each_follower() {
	local tool
	for tool in 'tail -n +1 -f' 'tail -n +1 -F' 'busybox tail -n +1 -f' 'busybox tail -n +1 -F'; do
		echo "$tool"
		"$1" "$tool"
	done
}

sees_each_line_once() {
	mkdir "$P/web"
	echo 'sh -c "trap \"exit 0\" TERM; echo start; until [ -e /go ]; do sleep 0.05; done; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i 0123456789 0123456789 0123456789; [ $((i % 300)) -ne 0 ] || sleep 0.25; done; echo end"' >"$P/web/command"
	echo busybox >"$P/web/image"
	# shellcheck disable=SC2086
	follow timeout 60 $1 "$P/web/$log"
	within 10 grep -qx start "$T/followed"
	touch "$P/web/containers/web/root/go"
	within 30 grep -qx end "$T/followed"
	kill $follower
	diff <(seq 1 3000) <(sed -n 's/^line \([0-9]*\) .*/\1/p' "$T/followed")
	rmdir "$P/web"
}
@test "followers see each line once, over rotation" {
	rotating
	import busybox
	for_each_follower sees_each_line_once
}

over_a_restart() {
	mkdir "$P/web"
	echo 'sh -c "trap \"exit 0\" TERM; echo up; while :; do sleep 100 & wait; done"' >"$P/web/command"
	echo busybox >"$P/web/image"
	# shellcheck disable=SC2086
	follow timeout 60 $1 "$P/web/$log"
	within 10 grep -qx up "$T/followed"
	echo restart >"$P/web/ctl"
	within 10 twice
	kill $follower
	[ "$(grep -c . "$T/followed")" -eq 2 ]
	rmdir "$P/web"
}
twice() { [ "$(grep -cx up "$T/followed")" -eq 2 ]; }
@test "followers see each line once, over a restart" {
	import busybox
	for_each_follower over_a_restart
}

@test "less +F follows" {
	command -v less >/dev/null || skip "less is not installed"
	run_pod web 'sh -c "echo first; until [ -e /go ]; do sleep 0.05; done; echo later; exec sleep 1000"'
	within 5 grep -qx first "$P/web/$log"
	local pager
	timeout 20 script -qfec "less +F '$P/web/$log'" "$T/screen" </dev/null >/dev/null 2>&1 &
	pager=$!
	within 10 grep -q first "$T/screen"
	touch "$P/web/containers/web/root/go"
	within 10 grep -q later "$T/screen"
	kill $pager
}

@test "a reader of a log that does not grow ends; wc, grep, awk, head agree" {
	run_pod web 'sh -c "seq 1 1000; exec sleep 1000"'
	within 5 grep -qx 1000 "$P/web/$log"
	[ "$(timeout 5 wc -l <"$P/web/$log")" -eq 1000 ]
	[ "$(timeout 5 awk 'END { print NR }' "$P/web/$log")" -eq 1000 ]
	[ "$(timeout 5 head -n 1 "$P/web/$log")" = 1 ]
	timeout 5 cp "$P/web/$log" "$T/copy"
	cmp "$T/copy" <(seq 1 1000)
}

@test "a full disk drops and counts, and never stops the container" {
	umount "$P"
	within 10 no_process_left
	find "$T/state" -mindepth 1 -delete
	mount -t tmpfs -o size=12m,mode=700 x "$T/state"
	EXTRA_MOUNT=$T/state
	mount_podfs log_max=64M
	import busybox
	mkdir "$P/web"
	echo 'sh -c "seq 1 3000000; echo written >&2; until [ -e /dev/shm/go ]; do sleep 0.05; done; echo after"' >"$P/web/command"
	echo busybox >"$P/web/image"
	within 60 idle_in_loop
	is Running "$P/web/status"
	cat "$P/web/events" "$P/web/why" "$P/web/describe" | grep -qi drop
	[ "$(head -c 100000 "$P/web/$log" | cksum)" = "$(seq 1 3000000 | head -c 100000 | cksum)" ]
	in_container web 'touch /dev/shm/go'
	is 0 "$P/web/wait/ended"
}
idle_in_loop() { [ -n "$(pgrep -P "$(cat "$P/web/containers/web/pid")" sleep)" ]; }

@test "one log a container, all written by one process" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	for c in a b; do
		echo "sh -c 'echo I am $c; exec sleep 1000'" >"$P/web/containers/$c/command"
		echo busybox >"$P/web/containers/$c/image"
	done
	within 5 grep -qx 'I am a' "$P/web/logs/a"
	within 5 grep -qx 'I am b' "$P/web/logs/b"
	for v in '' .stdout .stderr .timestamps .previous; do [ -e "$P/web/logs/a$v" ]; done
	# who has a segment open for writing (flags: O_RDWR)
	for p in $(instance_pids); do
		for f in $(find "/proc/$p/fd" -lname "$T/state/pods/*/logs/*" 2>/dev/null); do
			grep -q '^flags:.*2$' "${f/fd/fdinfo}" && echo "$p"
		done
	done | sort -u >"$T/writers"
	[ "$(wc -l <"$T/writers")" -eq 1 ]
}

@test "a background child that keeps the pipes does not keep the end waiting" {
	run_pod web 'sh -c "sleep 1000 & echo bye"'
	is 0 "$P/web/wait/ended"
	is bye "$P/web/$log"
}
