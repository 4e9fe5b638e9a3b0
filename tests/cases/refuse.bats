# Bad input: each is refused with an errno that fits and a sentence in the nearest `error`.

load lib

# said PATTERN FILE: the last line of an error file.
said() { tail -n 1 "$2" | grep -qiE -- "$1" || { echo "the last line of $2 is:"; tail -n 1 "$2"; return 1; }; }

@test "names of pods" {
	fails 'Invalid argument' mkdir "$P/Web"
	said 'Web' "$P/.node/error"
	fails 'Invalid argument' mkdir "$P/a_b"
	said 'a_b' "$P/.node/error"
	fails 'Invalid argument' mkdir "$P/-a"
	fails 'Invalid argument' mkdir "$P/a-"
	fails 'Invalid argument' mkdir "$P/.a"
	local long
	long=$(printf '%064d' 0 | tr 0 a)
	fails 'Invalid argument' mkdir "$P/$long"
	said '63' "$P/.node/error"
	mkdir "$P/${long%a}"
	fails 'No such file' mkdir "$P/a/b"
	fails 'No such file' mkdir ''
	fails 'File exists' mkdir "$P/.."
	fails 'File exists' mkdir "$P/.node"
}

@test "names of containers" {
	mkdir "$P/web"
	fails 'Invalid argument' mkdir "$P/web/containers/Web"
	said 'Web' "$P/web/error"
	fails 'Invalid argument' mkdir "$P/web/containers/$(printf '%064d' 0)"
	said '63' "$P/web/error"
	mkdir "$P/web/containers/a"
	fails 'File exists' mkdir "$P/web/containers/a"
}

@test "two mkdir of one name: one of them makes it" {
	local i made=0 pids=()
	for i in 1 2 3 4 5 6 7 8; do
		mkdir "$P/web" 2>"$T/e$i" && touch "$T/made$i" &
		pids+=($!)
	done
	wait_for "${pids[@]}" || true
	for i in "$T"/made*; do made=$((made + 1)); done
	[ "$made" -eq 1 ]
	[ "$(cat "$T"/e? | grep -c 'File exists')" -eq 7 ]
}

@test "quantities" {
	mkdir "$P/web"
	for value in 10Q -1 1e9G ten '1 2' 1.5.5 0x10; do
		refused 'nvalid argument' "$P/web/memory.max" "$value"
		said "memory.max" "$P/web/error"
	done
	said '0x10' "$P/web/error"
	is max "$P/web/memory.max"
	for value in -1 abc '0.5 0.5' 500x; do refused 'nvalid argument' "$P/web/cpu.max" "$value"; done
	said 'cpu.max' "$P/web/error"
	for value in -1 1.5 many; do refused 'nvalid argument' "$P/web/pids.max" "$value"; done
	for value in 0 10001 x; do refused 'nvalid argument' "$P/web/cpu.weight" "$value" || refused 'out of range' "$P/web/cpu.weight" "$value"; done
	for value in -1 soon; do refused 'nvalid argument' "$P/web/grace" "$value"; done
	refused 'nvalid argument' "$P/web/restart" Sometimes
	refused 'nvalid argument' "$P/web/share" 'ipc net uts mnt'
	refused 'nvalid argument' "$P/web/hostname" 'a b'
	is max "$P/web/memory.max"
	is Never "$P/web/restart"
	is 30 "$P/web/grace"
	is web "$P/web/hostname"
}

@test "quantities as people write them" {
	mkdir "$P/web"
	local pair
	for pair in 256M:268435456 256Mi:268435456 1G:1073741824 1Gi:1073741824 65536k:67108864 67108864:67108864 max:max; do
		echo "${pair%:*}" >"$P/web/memory.max"
		is "${pair#*:}" "$P/web/memory.max"
	done
	for pair in '0.5:50000 100000' '500m:50000 100000' '2:200000 100000' '50000 100000:50000 100000' 'max:max 100000'; do
		echo "${pair%:*}" >"$P/web/cpu.max"
		is "${pair#*:}" "$P/web/cpu.max"
	done
}

@test "a shorthand that is refused, or empty, defines no container" {
	make_image none '{"Env":["PATH=/bin"]}'
	mkdir "$P/h"
	refused 'nvalid argument' "$P/h/command" "'open"
	said 'command: quote' "$P/h/error"
	refused 'nvalid argument' "$P/h/image" 'BAD REF'
	said 'image: .*BAD REF' "$P/h/error"
	refused 'nvalid argument' "$P/h/pull" nosuch
	refused 'nvalid argument' "$P/h/image" none
	said 'neither ENTRYPOINT nor CMD' "$P/h/error"
	cat "$P/h/image" >"$P/h/image"
	: >"$P/h/image"
	: >"$P/h/command"
	echo >"$P/h/command"
	[ -z "$(ls "$P/h/containers")" ]
	is '' "$P/h/command"
	# a value that holds does, and two at once define one
	echo true >"$P/h/command" &
	local first=$!
	echo Never >"$P/h/pull"
	wait $first
	is h <(ls "$P/h/containers")
	is true "$P/h/containers/h/command"
	is Never "$P/h/containers/h/pull"
	: >"$P/h/command"
	is '' "$P/h/command"
	mkdir "$P/i"
	import busybox
	mkdir "$P/i/exec/i"
	refused 'File exists' "$P/i/command" true
	rmdir "$P/i/exec/i"
	echo 'sh -c "exit 3"' >"$P/i/command"
	echo busybox >"$P/i/image"
	is 3 "$P/i/wait/ended"
	mkdir "$P/j"
	echo busybox >"$P/j/image"
	is busybox "$P/j/containers/j/image"
	is 0 "$P/j/wait/ended"
}

@test "verbs of one write: each is one, or none is done" {
	run_pod web "$forever"
	run ! dash -c 'printf "pause\nbogus\n" >"$1"' sh "$P/web/ctl"
	said 'bogus is not a verb' "$P/web/error"
	has '^running' "$P/web/containers/web/state"
	dash -c 'printf "pause\n\nunpause\npause\n" >"$1"' sh "$P/web/containers/web/ctl"
	has '^paused' "$P/web/containers/web/state"
}

@test "an image that is not there, and may not be fetched" {
	mkdir "$P/web" "$P/web/containers/web"
	refused 'nvalid argument' "$P/web/containers/web/pull" never
	said 'IfNotPresent, Always, Never' "$P/web/containers/web/error"
	echo Never >"$P/web/containers/web/pull"
	refused 'No such file' "$P/web/image" nosuch:1
	said 'nosuch:1.*ErrImageNeverPull' "$P/web/containers/web/error"
	is '' "$P/web/image"
	refused 'nvalid argument' "$P/web/image" 'UPPER/case::'
	fails 'Invalid argument' cp "$IMAGES/busybox.tar" "$P/.node/images/Not:a:ref"
}

@test "a command that is not there, or cannot be executed" {
	import busybox
	mkdir "$P/web"
	echo /no/such >"$P/web/command"
	refused 'No such file' "$P/web/image" busybox
	said '/no/such' "$P/web/containers/web/error" || said '/no/such' "$P/web/error"
	is 127 "$P/web/containers/web/exitcode"
	is 127 "$P/web/containers/web/wait/ended"
	is 127 "$P/web/wait/ended"
	echo /etc/passwd >"$P/web/command"
	refused 'Permission denied' "$P/web/image" busybox
	is 126 "$P/web/wait/ended"
	is Failed "$P/web/status"
}

@test "a user or folder that the image lacks" {
	import busybox
	mkdir "$P/web" "$P/web/containers/web"
	echo nosuchuser >"$P/web/containers/web/user"
	echo true >"$P/web/command"
	refused 'nvalid argument' "$P/web/containers/web/image" busybox
	said 'nosuchuser' "$P/web/containers/web/error"
	is 128 "$P/web/wait/ended"
	refused 'nvalid argument' "$P/web/containers/web/workdir" 'relative/path'
	refused 'nvalid argument' "$P/web/containers/web/env" '=x'
	refused 'nvalid argument' "$P/web/containers/web/env" 'NOVALUE'
}

@test "a value of 1 MB" {
	mkdir "$P/web"
	head -c 1000000 /dev/zero | tr '\0' a >"$T/big"
	fails 'too long' cp "$T/big" "$P/web/command"
	said 'command' "$P/web/error"
	fails 'too long' cp "$T/big" "$P/web/labels" || fails 'Invalid argument' cp "$T/big" "$P/web/labels"
	is '' "$P/web/command"
	is '' "$P/web/labels"
}

@test "a record and a pod have their bounds" {
	mkdir "$P/web"
	local i
	for ((i = 0; i < 40; i++)); do mkdir "$P/web/containers/c$i" 2>"$T/err" || break; done
	[ "$i" -eq 32 ]
	said 'at most 32' "$P/web/error"
	head -c 60000 /dev/zero | tr '\0' a >"$T/big"
	for ((i = 0; i < 32; i++)); do cp "$T/big" "$P/web/containers/c$i/args" 2>"$T/err" || break; done
	[ "$i" -ge 2 ] && [ "$i" -lt 4 ]
	grep -q 'too long' "$T/err"
	said 'args' "$P/web/containers/c$i/error"
	is '' "$P/web/containers/c$i/args"
	# what is there stays, and small things still fit
	echo 5 >"$P/web/grace"
	is 5 "$P/web/grace"
	unmount_podfs
	mount_podfs
	is "$(cat "$T/big")" "$P/web/containers/c0/args"
}

@test "words" {
	mkdir "$P/web"
	mkdir "$P/web/containers/a"
	refused 'nvalid argument' "$P/web/containers/a/command" 'sh -c "not closed'
	said 'quote' "$P/web/containers/a/error"
	refused 'nvalid argument' "$P/web/containers/a/command" '["a", 1]'
	refused 'nvalid argument' "$P/web/containers/a/command" '["a"'
	fails 'nvalid argument' bash -c "printf 'a\\0b' > '$P/web/containers/a/command'"
	is '' "$P/web/containers/a/command"
	refused 'nvalid argument' "$P/web/containers/a/ctl" dance
	refused 'nvalid argument' "$P/web/containers/a/ctl" 'kill SIGNOTHING'
	refused 'nvalid argument' "$P/web/labels" 'no equal sign'
}

@test "writes to files that are only read" {
	run_pod web "$forever"
	local f
	for f in status describe why ip memory.current cpu.stat wait/ready containers/web/state containers/web/pid \
		containers/web/exitcode logs/web; do
		fails 'Permission denied' bash -c "echo x > '$P/web/$f'" || fails 'not permitted' bash -c "echo x > '$P/web/$f'"
	done
	fails 'denied' bash -c "echo x > '$P/.node/pods'" || fails 'not permitted' bash -c "echo x > '$P/.node/pods'"
}

@test "a name that is no file, and places where nothing is made" {
	mkdir "$P/web"
	fails 'No such file' cat "$P/web/nothing"
	fails 'ermi' touch "$P/web/nothing"
	fails 'ermi' touch "$P/file"
	fails 'ermi' mkdir "$P/web/folder"
	fails 'ermi' ln -s a "$P/web/link"
	fails 'ermi' mv "$P/web" "$P/web2"
	fails 'ermi' rm "$P/web/status"
	fails 'ermi' rmdir "$P/web/containers"
	fails 'ermi' rmdir "$P/.node"
}

@test "a pod's process that does not answer: the reason, and later the end" {
	run_pod web "$forever"
	local pod
	pod=$(readlink "$P/web/ns/net" | cut -d/ -f3)
	kill -STOP "$pod"
	refused 'timed out' "$P/web/labels" S=1
	said 'labels: podfs-pod of web has not answered for 2 s' "$P/web/error"
	fails 'timed out' mkdir "$P/web/containers/late"
	said 'podfs-pod of web has not answered.*taken back' "$P/web/error"
	kill -CONT "$pod"
	within 5 has 'web labels: done after all' "$P/web/events"
	within 5 has 'web/late removed' "$P/web/events"
	is S=1 "$P/web/labels"
	[ ! -e "$P/web/containers/late" ]
}

@test "rm -r of a pod fails and removes nothing" {
	run_pod web "$forever"
	fails 'ermi' rm -r "$P/web"
	fails 'ermi' rm -rf "$P/web/containers"
	is Running "$P/web/status"
	[ -e "$P/web/containers/web/root/bin/busybox" ]
	[ -e "$P/web/containers/web/root/etc/passwd" ]
}
