# podfs-exec, the terminal that a person uses: in dash and in busybox sh.

load lib

# at_terminal COMMAND: with a terminal of its own; what is written to $T/keys is typed, the screen is $T/screen.
at_terminal() {
	mkfifo "$T/keys"
	exec 7<>"$T/keys"
	timeout 40 script -qfec "stty rows 33 cols 99; $1" "$T/screen" <"$T/keys" >/dev/null 2>&1 &
	terminal=$!
}
type_() { printf "$1" >"$T/keys"; }
on_screen() { within 10 grep -qE -- "$1" "$T/screen" || { echo "no $1"; cat -v "$T/screen"; return 1; }; }
no_session() { [ -z "$(find "$P/web/exec" -mindepth 1 -type d)" ]; }

@test "a command: its output, its errors, its code" {
	run_pod web "$forever"
	for sh in dash 'busybox sh'; do
		[ "$($sh "$podfs_exec" web echo 'a  b' "it's" '$HOME')" = "a  b it's \$HOME" ]
		run -3 $sh "$podfs_exec" web sh -c 'exit 3'
		run --separate-stderr $sh "$podfs_exec" web/web sh -c 'echo out; echo err >&2'
		[ "$output" = out ]
		[ "$stderr" = err ] || { echo "stderr: $stderr"; return 1; }
		[ "$(seq 1 20000 | $sh "$podfs_exec" web wc -l)" = 20000 ]
		run -127 $sh "$podfs_exec" web /no/such
		[[ $output == */no/such* ]]
		run -125 $sh "$podfs_exec" nopod true
		run -125 $sh "$podfs_exec" web/nocontainer true
		[[ $output == *"no container nocontainer"* ]]
		no_session
	done
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	run -125 timeout 10 dash "$podfs_exec" web true
	[[ $output == *"does not run"* ]]
	mkdir "$P/empty"
	run -125 timeout 10 dash "$podfs_exec" empty true
	no_session
}

a_person_uses_it() {
	run_pod web "$forever"
	at_terminal "$1 $podfs_exec web"
	type_ 'stty size; tty\r'
	on_screen '33 99'
	on_screen '/dev/pts/0'
	type_ 'sleep 4245\r'
	within 5 pgrep -fx 'sleep 4245'
	type_ '\003'
	within 5 ended_sleep
	type_ 'echo st""ill\r'
	on_screen '^still'
	type_ 'exit 6\r'
	wait $terminal || code=$?
	[ "$code" -eq 6 ]
	no_session
}
ended_sleep() { ! pgrep -fx 'sleep 4245' >/dev/null; }

@test "a person uses it: dash" { a_person_uses_it dash; }
@test "a person uses it: busybox sh" { a_person_uses_it 'busybox sh'; }
@test "a person uses it: bash" { a_person_uses_it bash; }

@test "the window changes its size" {
	run_pod web "$forever"
	at_terminal "echo PTY \$(tty); dash $podfs_exec web"
	on_screen 'PTY /dev/pts'
	local pty
	pty=$(sed -n 's/.*PTY \(\/dev\/pts\/[0-9]*\).*/\1/p' "$T/screen")
	type_ 'trap "echo WINCH" WINCH; stty size\r'
	on_screen '33 99'
	stty rows 44 cols 111 <"$pty"
	within 10 resized
	type_ 'exit\r'
	wait $terminal
	no_session
}
resized() { type_ 'stty size\r'; grep -q '44 111' "$T/screen"; }

@test "the terminal is itself again, and the session gone, on every way out" {
	run_pod web "$forever"
	at_terminal "dash $podfs_exec web; stty -a | grep -o -- '-*icanon'; exit 0"
	type_ 'echo up""here\r'
	on_screen '^uphere'
	# killed from outside
	kill "$(pgrep -of "^dash $podfs_exec")"
	on_screen '(^|[^-])icanon'
	wait $terminal || true
	within 5 no_session
}

@test "^C of a command without a terminal removes its session" {
	run_pod web "$forever"
	# what a shell without job control starts in the background ignores ^C
	env --default-signal=INT dash "$podfs_exec" web sleep 4245 </dev/null &
	local person=$!
	within 5 pgrep -fx 'sleep 4245'
	kill -INT $person
	within 5 no_session
	within 5 ended_sleep
}
