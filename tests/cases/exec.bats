# Exec: one stream, sessions with streams apart, exit codes, what a terminal needs.

load lib

session() { S=$P/web/exec/${1:-s}; mkdir "$S"; }
pod() { run_pod web "$forever"; }

@test "what is written to exec/NAME runs, and its output is read once" {
	pod
	echo 'echo hello; echo error >&2; hostname' >"$P/web/exec/web"
	is $'hello\nerror\nweb' "$P/web/exec/web"
	echo 'echo 1' >"$P/web/exec/web"
	echo 'echo 2' >"$P/web/exec/web"
	timeout 5 cat "$P/web/exec/web" | sort | paste -sd, | grep -qx 1,2
	# a script of some size
	{ for i in $(seq 1 2000); do echo "echo line $i"; done; } >"$P/web/exec/web"
	timeout 20 cat "$P/web/exec/web" | cmp - <(seq -f 'line %g' 1 2000)
}

@test "each opening of the stream is a shell of its own" {
	pod
	exec 5<>"$P/web/exec/web" 6<>"$P/web/exec/web"
	echo 'x=five; cd /tmp; echo $x $PWD; exit' >&5
	echo 'echo [$x] $PWD; exit' >&6
	[ "$(timeout 5 cat <&5)" = 'five /tmp' ]
	[ "$(timeout 5 cat <&6)" = '[] /' ]
	exec 5>&- 6>&-
}

@test "outputs that nobody fetches: sixteen wait, the oldest that has ended makes room, none that runs does" {
	pod
	local i
	for i in $(seq 1 16); do echo "echo $i; exec sleep 4246" >"$P/web/exec/web"; done
	fails 'busy' bash -c "echo 'echo seventeenth' >'$P/web/exec/web'"
	tail -n 1 "$P/web/containers/web/error" | grep -q 'exec/web.*16'
	within 5 sleepers 16
	# one's own opening has no output that waits
	exec 5<>"$P/web/exec/web"
	echo 'echo own; exit' >&5
	[ "$(timeout 5 cat <&5)" = own ]
	exec 5>&-
	in_container web 'killall sleep'
	within 5 bash -c "echo 'echo new' >'$P/web/exec/web'"
	timeout 10 cat "$P/web/exec/web" | cmp - <(seq 2 16; echo new)
	# all were fetched
	echo 'echo 1' >"$P/web/exec/web"
	is 1 "$P/web/exec/web"
}
sleepers() { [ "$(in_container web 'ps | grep -c "[s]leep 4246"')" -eq "$1" ]; }

@test "closing the stream ends its shell" {
	pod
	exec 5<>"$P/web/exec/web"
	echo 'echo $$' >&5
	read -rt 5 _ <&5
	exec 5>&-
	within 10 one_shell
}
one_shell() { [ "$(in_container web 'ps | grep -c "[s]h$" || true')" -le 1 ]; }

@test "a session's exit codes: 0 to 255, a signal's, 126 and 127" {
	pod
	local code
	for code in 0 1 2 42 125 128 255; do
		session
		echo "sh -c 'exit $code'" >"$S/cmd"
		is $code "$S/exit"
		is $code "$S/exit"
		rmdir "$S"
	done
	session
	echo "sh -c 'kill -TERM \$\$'" >"$S/cmd"
	is 143 "$S/exit"
	rmdir "$S"
	session
	refused 'No such file' "$S/cmd" /no/such/command
	is 127 "$S/exit"
	rmdir "$S"
	session
	refused 'Permission denied' "$S/cmd" /etc/passwd
	is 126 "$S/exit"
	rmdir "$S"
	grep -q '/no/such/command' "$P/web/error"
}

@test "a command longer than a program's buffer runs whole, or not at all" {
	pod
	local words sh
	words=$(seq -s ' ' 1 1100)
	for sh in bash dash 'busybox sh'; do
		session
		$sh -c 'echo "echo $1" >"$2"' sh "$words" "$S/cmd"
		is "$words" "$S/out"
		is "echo $words" "$S/cmd"
		rmdir "$S"
		session
		run ! $sh -c 'echo "echo $1 '"'"'" >"$2"' sh "$words" "$S/cmd" 2>/dev/null
		is '' "$S/cmd"
		echo 'echo another' >"$S/cmd"
		is another "$S/out"
		rmdir "$S"
		# more than a command may have: no piece of it runs
		session
		run ! $sh -c 'echo "echo $1" >"$2"' sh "$(seq -s ' ' 1 15000)" "$S/cmd" 2>/dev/null
		is '' "$S/cmd"
		rmdir "$S"
	done
	# bash goes on with the next line after one that was refused
	session
	run ! bash -c "printf \"sh -c 'echo one\necho two\n'\n\" >\"\$1\"" sh "$S/cmd"
	is '' "$S/cmd"
	rmdir "$S"
	# no newline, and as long as a buffer: it may go on until it is closed
	session
	printf 'echo %4091s' end >"$S/cmd"
	is end "$S/out"
	fails 'busy' bash -c 'printf %4096s x >"$1"' sh "$S/cmd"
	rmdir "$S"
	session
	printf "echo %4091s" "'" >"$S/cmd"
	is '' "$S/cmd"
	tail -n 1 "$P/web/error" | grep -q 'cmd.*not closed'
	rmdir "$S"
}

@test "a command that was refused leaves its session usable" {
	pod
	session
	echo pause >"$P/web/ctl"
	refused 'busy' "$S/cmd" 'echo hi'
	grep -q paused "$P/web/error"
	is '' "$S/cmd"
	echo unpause >"$P/web/ctl"
	echo 'echo hi' >"$S/cmd"
	is hi "$S/out"
	is 0 "$S/exit"
	rmdir "$S"
}

@test "a session whose command could not be begun, for a reason that is not the command's, is usable" {
	import busybox
	mkdir "$P/web" "$P/web/containers/web"
	echo "$forever" >"$P/web/command"
	echo /w >"$P/web/containers/web/workdir"
	echo busybox >"$P/web/image"
	local root=$P/web/containers/web/root
	rmdir "$root/w"
	touch "$root/w"
	session
	refused 'Not a directory' "$S/cmd" 'echo hi'
	tail -n 1 "$P/web/error" | grep -q 'workdir /w'
	is '' "$S/cmd"
	rm "$root/w"
	echo 'echo hi' >"$S/cmd"
	is hi "$S/out"
	is 0 "$S/exit"
	rmdir "$S"
}

@test "stdin, binary, to its end" {
	pod
	session
	echo 'md5sum' >"$S/cmd"
	head -c 3000000 /dev/urandom >"$T/big"
	timeout 20 cat "$T/big" >"$S/in"
	[ "$(timeout 20 cat "$S/out" | cut -d' ' -f1)" = "$(md5sum <"$T/big" | cut -d' ' -f1)" ]
	is 0 "$S/exit"
	rmdir "$S"
}

@test "a filter: in and out at the same time, more than any buffer holds" {
	pod
	session
	echo cat >"$S/cmd"
	head -c 5000000 /dev/urandom >"$T/big"
	timeout 30 cat "$S/out" >"$T/back" &
	timeout 30 cat "$T/big" >"$S/in"
	wait $!
	cmp "$T/big" "$T/back"
	is 0 "$S/exit"
	rmdir "$S"
}

@test "streams apart, each read once, a large err beside a large out" {
	pod
	session
	echo 'sh -c "seq 1 50000 & seq 1 60000 >&2; wait"' >"$S/cmd"
	timeout 20 cat "$S/out" >"$T/out" &
	timeout 20 cat "$S/err" >"$T/err"
	wait $!
	cmp "$T/out" <(seq 1 50000)
	cmp "$T/err" <(seq 1 60000)
	is 0 "$S/exit"
	is '' "$S/out"
	rmdir "$S"
}

@test "the command waits when nobody reads" {
	pod
	session
	echo 'sh -c "seq 1 100000; echo finished >&2"' >"$S/cmd"
	run -124 timeout 0.5 cat "$S/exit"
	[ "$(timeout 10 cat "$S/out" | wc -l)" -eq 100000 ]
	is finished "$S/err"
	is 0 "$S/exit"
	rmdir "$S"
}

@test "a command that nobody talks to ends by itself" {
	pod
	session
	echo 'echo hi' >"$S/cmd"
	is 0 "$S/exit"
	is hi "$S/out"
	rmdir "$S"
}

@test "a background child does not hold out and exit" {
	pod
	session
	echo 'sh -c "sleep 1000 & echo bye"' >"$S/cmd"
	is bye "$S/out"
	is 0 "$S/exit"
	rmdir "$S"
}

@test "rmdir ends what still runs" {
	pod
	session
	echo 'sleep 4242' >"$S/cmd"
	within 5 pgrep -fx 'sleep 4242'
	rmdir "$S"
	[ ! -e "$S" ]
	within 10 no_sleep
}
no_sleep() { ! pgrep -fx 'sleep 4242' >/dev/null; }

@test "sessions of any container of the pod; one that is not there" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	for c in a b; do
		echo "$forever" >"$P/web/containers/$c/command"
		echo "WHO=$c" >"$P/web/containers/$c/env"
		echo busybox >"$P/web/containers/$c/image"
	done
	[ "$(in_container web/b 'echo $WHO')" = b ]
	[ "$(in_container web 'echo $WHO')" = a ]
	session
	fails 'No such' bash -c "echo nobody > '$S/container'"
	rmdir "$S"
}

@test "a session sees the container: its files, user, namespaces, limits" {
	make_image user '{"Cmd":["sh","-c","while :; do sleep 1000; done"],"Env":["PATH=/bin","FROM=image"],"User":"app","WorkingDir":"/srv"}'
	mkdir "$P/web"
	echo user >"$P/web/image"
	[ "$(in_container web 'id -un; pwd; echo $FROM; cat /proc/1/comm' | paste -sd,)" = app,/srv,image,sh ]
	in_container web 'grep -E "^(CapEff|NoNewPrivs)" /proc/self/status' | tr -d ' \t' | paste -sd, | grep -q 'CapEff:0000000000000000'
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	session
	echo 'sleep 4243' >"$S/cmd"
	within 5 pgrep -fx 'sleep 4243'
	for ns in mnt pid net ipc uts cgroup; do
		[ "$(readlink "/proc/$(pgrep -fx 'sleep 4243')/ns/$ns")" = "$(readlink "/proc/$pid/ns/$ns")" ]
	done
	diff "/proc/$(pgrep -fx 'sleep 4243')/cgroup" "/proc/$pid/cgroup"
	rmdir "$S"
}

@test "sessions in a container that does not run" {
	run_pod web true
	is 0 "$P/web/wait/ended"
	session
	run ! bash -c "echo ls > '$S/cmd'"
	grep -q . "$P/web/error"
	rmdir "$S"
}

@test "a second command, names that are taken, too many sessions" {
	pod
	session
	fails 'File exists' mkdir "$S"
	fails 'Invalid argument' mkdir "$P/web/exec/UPPER"
	echo 'sleep 1000' >"$S/cmd"
	refused 'busy' "$S/cmd" ls
	rmdir "$S"
	local i
	for i in $(seq 1 70); do mkdir "$P/web/exec/n$i" 2>"$T/err" || break; done
	[ "$i" -gt 40 ] && [ "$i" -le 70 ]
	grep -q . "$P/web/error"
	for i in "$P"/web/exec/n*/; do rmdir "$i"; done
}

@test "a terminal: its size, its change, ^C, end of file" {
	pod
	session
	echo 1 >"$S/tty"
	echo '40 100' >"$S/winsize"
	echo 'sh -i' >"$S/cmd"
	exec 6>"$S/in"
	timeout 30 cat "$S/out" >"$T/screen" &
	echo 'stty size; tty' >&6
	within 5 grep -q '40 100' "$T/screen"
	within 5 grep -q '/dev/pts/0' "$T/screen"
	echo '50 120' >"$S/winsize"
	is '50 120' "$S/winsize"
	echo 'stty size' >&6
	within 5 grep -q '50 120' "$T/screen"
	echo 'sleep 4244' >&6
	within 5 pgrep -fx 'sleep 4244'
	printf '\003' >&6
	within 5 ended_sleep
	echo 'echo still; exit 9' >&6
	is 9 "$S/exit"
	exec 6>&-
	within 5 grep -q still "$T/screen"
	rmdir "$S"
}
ended_sleep() { ! pgrep -fx 'sleep 4244' >/dev/null; }

@test "with a terminal, closing in is not the end of file" {
	pod
	session
	echo 1 >"$S/tty"
	echo sh >"$S/cmd"
	timeout 20 cat "$S/out" >"$T/screen" &
	echo 'echo first' >"$S/in"
	within 5 grep -q '^first' "$T/screen"
	echo 'echo second; exit' >"$S/in"
	is 0 "$S/exit"
	within 5 grep -q '^second' "$T/screen"
	rmdir "$S"
}

@test "exec of many at once, each with its own answer" {
	pod
	local i pids=()
	for i in $(seq 1 30); do
		(
			s=$P/web/exec/m$i
			mkdir "$s"
			echo "sh -c 'echo $i; exit $i'" >"$s/cmd"
			[ "$(timeout 20 cat "$s/out")" = "$i" ] && [ "$(timeout 20 cat "$s/exit")" = "$i" ] && rmdir "$s" && touch "$T/ok$i"
		) &
		pids+=($!)
	done
	wait_for "${pids[@]}"
	[ "$(find "$T" -name 'ok*' | wc -l)" -eq 30 ]
	[ -z "$(find "$P/web/exec" -mindepth 1 -type d)" ]
}
