# What FUSE really does to a shell user: each trap that a virtual file system can spring on one.
#
# Where else the rest is tested: readers that survive signals and readers that stop a whole mount: many.bats;
# tail -f and -F: logs.bats; permissions: users.bats; requests in flight while a server comes back: keeper.bats.

load lib

# each shell a person may have
shells() { printf '%s\n' bash dash "busybox sh"; }
# seconds COMMAND: how long it took, in ms.
ms() {
	local from
	from=$(date +%s%N)
	"$@" >/dev/null
	echo $((($(date +%s%N) - from) / 1000000))
}
stubborn='sh -c "trap : TERM; while :; do sleep 1000; done"'

@test "a long verb returns at once, and so does the next writer's" {
	run_pod web "$stubborn"
	echo 5 >"$P/web/grace"
	[ "$(ms bash -c "echo stop > '$P/web/ctl'")" -lt 500 ]
	[ "$(ms bash -c "echo stop > '$P/web/ctl'")" -lt 500 ]
	is Running "$P/web/status"
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
}

@test "mkdir and rmdir do not hold the folder: ls answers meanwhile" {
	run_pod web "$stubborn"
	echo 3 >"$P/web/grace"
	[ "$(ms rmdir "$P/web")" -lt 1000 ]
	[ "$(ms ls "$P")" -lt 300 ]
	[ "$(ms mkdir "$P/web")" -lt 1000 ]
	[ "$(ms ls -l "$P")" -lt 300 ]
	grep -q '^web ' "$P/.node/leaving"
}

@test "one descriptor both ways: a write goes through while a read waits" {
	run_pod web "$forever"
	exec 5<>"$P/web/exec/web"
	cat <&5 >"$T/out" &
	local reader=$!
	within 5 reading "$reader"
	timeout 5 bash -c 'echo "echo one" >&5'
	within 5 grep -qx one "$T/out"
	timeout 5 bash -c 'echo "echo two; exit" >&5'
	timeout 5 tail --pid=$reader -f /dev/null
	grep -qx two "$T/out"
	exec 5>&-
}
reading() { grep -qs '^State:[[:space:]]*[SD]' "/proc/$1/status"; }

@test "a value is taken by echo in every shell, once" {
	mkdir "$P/web"
	local n=40 before
	while read -r sh; do
		n=$((n + 1))
		before=$(wc -l <"$P/web/events")
		$sh -c "echo $n > '$P/web/grace'"
		is $n "$P/web/grace"
		[ $(($(wc -l <"$P/web/events") - before)) -le 1 ]
	done < <(shells)
}

@test "a refused value fails echo in every shell" {
	mkdir "$P/web"
	while read -r sh; do
		run ! $sh -c "set -e; echo soon > '$P/web/grace'; echo went on" </dev/null
		[[ $output != *"went on"* ]]
	done < <(shells)
	is 30 "$P/web/grace"
}

@test "a refused document fails cat, cp, tee and dd" {
	head -c 100000 /dev/urandom >"$T/rubbish.tar"
	run ! cp "$T/rubbish.tar" "$P/.node/images/rubbish"
	run ! bash -c "cat '$T/rubbish.tar' > '$P/.node/images/rubbish'"
	run ! bash -c "tee '$P/.node/images/rubbish' < '$T/rubbish.tar' > /dev/null"
	run ! dd if="$T/rubbish.tar" of="$P/.node/images/rubbish" bs=64k status=none
	[ -z "$(ls "$P/.node/images")" ]
	grep -q rubbish "$P/.node/error"
}

@test "lines arrive whole, however many writes a shell makes of them" {
	mkdir "$P/web" "$P/web/containers/a"
	local env=$P/web/containers/a/env
	while read -r sh; do
		: >"$env"
		$sh -c "printf 'A=1\nB=2\nC=3\n' > '$env'"
		is $'A=1\nB=2\nC=3' "$env"
		$sh -c "printf 'D=4\nE=5\n' >> '$env'"
		is $'A=1\nB=2\nC=3\nD=4\nE=5' "$env"
		$sh -c "{ echo X=1; echo Y=2; } > '$env'"
		is $'X=1\nY=2' "$env"
		$sh -c "printf 'A=without newline' > '$env'"
		is 'A=without newline' "$env"
	done < <(shells)
}

@test "lines longer than a program's buffer arrive whole" {
	mkdir "$P/web" "$P/web/containers/a"
	local env=$P/web/containers/a/env
	for i in $(seq 1 40); do printf 'V%d=%0600d\n' "$i" "$i"; done >"$T/lines"
	for copy in "cp $T/lines $env" "dd if=$T/lines of=$env bs=4096 status=none" "busybox cp $T/lines $env" \
		"sed -n w$env $T/lines"; do
		: >"$env"
		$copy || return 1
		cmp "$T/lines" "$env"
	done
	: >"$env"
	cat "$T/lines" >"$env"
	cmp "$T/lines" "$env"
}

@test "who adds lines adds them to what holds by then, once" {
	mkdir "$P/web" "$P/web/containers/a"
	local env=$P/web/containers/a/env i pids=()
	exec 5>>"$P/web/labels" 6>>"$P/web/labels"
	echo A=1 >&5
	echo B=2 >&6
	echo C=3 >&5
	is $'A=1\nB=2\nC=3' "$P/web/labels"
	for i in $(seq 20); do (echo "k$i=v" >>"$P/web/annotations") & pids+=($!); done
	wait_for "${pids[@]}"
	[ "$(wc -l <"$P/web/annotations")" -eq 20 ]
	# of env a line may stand there twice, so what is added twice is seen
	exec 5>>"$env" 6>>"$env"
	echo A=1 >&5
	echo A=1 >&6
	printf 'B=' >&5
	printf 'long\nC=' >&5
	printf '3\n' >&5
	is $'A=1\nA=1\nB=long\nC=3' "$env"
	# a line that was not finished, and others behind it by now
	printf 'D=' >&5
	echo E=5 >&6
	printf '4\n' >&5
	is $'A=1\nA=1\nB=long\nC=3\nD=\nE=5\nD=4' "$env"
	: >"$env"
	printf 'F=6' >&5
	echo G=7 >&6
	printf '\nH=' >&5
	printf '%01024d' 8 >&5
	printf '\n' >&5
	is "$(printf 'F=6\nG=7\nH=%01024d' 8)" "$env"
	# once cut to nothing, what it writes is all there is
	truncate -s 0 /proc/self/fd/5
	perl -e 'open F, ">>", $ARGV[0] or die; truncate F, 0; syswrite F, "F=1\n"; syswrite F, "F=2\n"' "$env"
	is $'F=1\nF=2' "$env"
	exec 5>&- 6>&-
}

@test "hosts goes on to follow the hostname when something is added later" {
	mkdir "$P/web"
	exec 5>>"$P/web/hosts"
	echo newname >"$P/web/hostname"
	echo '192.0.2.7 db' >&5
	exec 5>&-
	grep -q 'newname$' "$P/web/hosts"
	echo third >"$P/web/hostname"
	grep -q 'third$' "$P/web/hosts"
	run ! grep -E 'web$|newname$' "$P/web/hosts"
	has '^192.0.2.7 db$' "$P/web/hosts"
}

@test "a value longer than a program's buffer is taken whole, or not at all" {
	mkdir "$P/web" "$P/web/containers/a"
	local args=$P/web/containers/a/args env=$P/web/containers/a/env long n sh
	echo before >"$args"
	while read -r sh; do
		for n in 1020 1024 2048 4090 4095 4096 4097 8192 20000; do
			long=$(head -c $n /dev/zero | tr '\0' w)
			run ! $sh -c 'echo "$1 and '"'"'unclosed" >"$2"' sh "$long" "$args" 2>/dev/null
			is before "$args"
			$sh -c 'echo "$1 rest" >"$2"' sh "$long" "$args"
			is "$long rest" "$args"
			$sh -c 'printf %s "$1" >"$2"' sh "$long" "$args"
			is "$long" "$args"
			$sh -c 'echo "A=$1" >"$2"; echo "B=$1" >>"$2"; echo C=3 >>"$2"' sh "$long" "$env"
			is "A=$long"$'\n'"B=$long"$'\nC=3' "$env"
			echo before >"$args"
		done
		# more than a value may have: no piece of it is one
		long=$(head -c 100000 /dev/zero | tr '\0' w)
		run ! $sh -c 'echo "$1" >"$2"' sh "$long" "$args" 2>/dev/null
		is before "$args"
		run ! $sh -c 'printf "%s rest\n" "$1" >"$2"' sh "$long" "$args" 2>/dev/null
		is before "$args"
		run ! $sh -c 'echo "A=$1" >>"$2"' sh "$long" "$env" 2>/dev/null
		[ "$(wc -l <"$env")" -eq 3 ]
	done < <(shells)
	# bash writes line by line, and goes on after a line that was refused
	run ! bash -c "printf \"sh -c 'one\ntwo\nthree'\n\" >\"\$1\"" sh "$args"
	is before "$args"
	run ! bash -c "echo \"sh -c 'one
two'\" >\"\$1\"" sh "$args"
	is before "$args"
}

@test "what was carried to close(2) and is refused there stands in error, and changes nothing" {
	mkdir "$P/web" "$P/web/containers/a"
	local c=$P/web/containers/a long
	long=$(head -c 1023 /dev/zero | tr '\0' w)
	echo before >"$c/args"
	printf "%s'" "$long" >"$c/args"
	is before "$c/args"
	tail -n 1 "$c/error" | grep -q 'args.*not closed'
	echo A=1 >"$c/env"
	printf '%sx' "$long" >>"$c/env"
	is A=1 "$c/env"
	tail -n 1 "$c/error" | grep -q 'env'
	# the rest of a line whose beginning was refused is no line
	fails 'nvalid argument' perl -e 'open F, ">>", $ARGV[0] or die;
		defined syswrite F, "nothing\n" . "B=" . "x" x 1014 and exit;
		print STDERR $! if !defined syswrite F, "y=1\n"; syswrite F, "C=3\n"; exit 1' "$c/env"
	is $'A=1\nC=3' "$c/env"
}

@test "what is read can be written back: words of several lines" {
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	local a=$P/web/containers/a/args b=$P/web/containers/b/args sh
	echo '["a b","\n","it'"'"'s \"q\" \\ \u0001 é"]' >"$a"
	[ "$(wc -l <"$a")" -eq 1 ]
	while read -r sh; do
		$sh -c 'x=$(cat "$1"); printf "%s\n" "$x" >"$2"' sh "$a" "$b"
		cmp "$a" "$b"
		: >"$b"
	done < <(shells)
	unmount_podfs
	mount_podfs
	printf '%s\n' '["a b","\n","it'"'"'s \"q\" \\ \u0001 é"]' | cmp - "$a"
}

@test "every common program reads a virtual file whole" {
	mkdir "$P/web"
	local f=$P/web/describe
	cat "$f" >"$T/whole"
	[ -s "$T/whole" ]
	# what changes with the time is not compared
	same() { diff <(sed 's/[0-9]//g' "$T/whole") <(sed 's/[0-9]//g'); }
	cp "$f" "$T/copy" && same <"$T/copy"
	[ "$(wc -l <"$f")" -eq "$(wc -l <"$T/whole")" ]
	head -n 1000 "$f" | same
	tail -n +1 "$f" | same
	grep '' "$f" | same
	sed '' "$f" | same
	awk 1 "$f" | same
	dd if="$f" bs=7 status=none | same
	busybox cat "$f" | same
	while IFS= read -r l; do printf '%s\n' "$l"; done <"$f" | same
	if command -v less >/dev/null; then less "$f" | cat | same; fi
	if command -v python3 >/dev/null; then python3 -c 'import sys; sys.stdout.write(open(sys.argv[1]).read())' "$f" | same; fi
	# an archive holds what the file holds, without padding: its true size is known or it is left out
	tar -C "$P/web" -cf "$T/t.tar" describe 2>/dev/null || true
	[ "$(tar -xOf "$T/t.tar" describe 2>/dev/null | tr -d -c '\000' | wc -c)" -eq 0 ]
}

@test "truncate, touch, chmod, fsync, and an editor in place" {
	mkdir "$P/web"
	truncate -s 0 "$P/web/labels"
	touch "$P/web/labels"
	sync "$P/web/labels"
	echo 7 | dd of="$P/web/grace" conv=fsync status=none
	is 7 "$P/web/grace"
	chmod 750 "$P/web"
	[ "$(stat -c %a "$P/web")" = 750 ]
	if command -v ed >/dev/null; then printf '1c\n8\n.\nw\nq\n' | ed -s "$P/web/grace"; else
		busybox ed "$P/web/grace" <<<$'1c\n8\n.\nw\nq'; fi
	is 8 "$P/web/grace"
}

@test "an editor that renames is refused, and the value stays" {
	mkdir "$P/web"
	echo 9 >"$P/web/grace"
	fails 'ermi' sed -i s/9/10/ "$P/web/grace"
	is 9 "$P/web/grace"
}

@test "poll answers for values, for waits and for streams" {
	run_pod web "$forever"
	exec 5<"$P/web/status"
	read -rt 0 <&5
	exec 5<"$P/web/wait/ended"
	run ! read -rt 0 <&5
	echo kill >"$P/web/ctl"
	within 5 bash -c 'read -rt 0 <&5'
	exec 5<&-
	# still, after others have polled
	exec 5<"$P/web/status"
	read -rt 0 <&5
	exec 5<&-
}

@test "who polls before each read comes to the end of events and logs" {
	run_pod web 'echo hello'
	is 0 "$P/web/wait/ended"
	echo 10Q >"$P/web/memory.max" || :
	for f in web/events web/error web/logs/web .node/events; do
		timeout 10 busybox sh -c 'n=0; while read -r l; do n=$((n+1)); done < "$1"; [ $n -gt 0 ]' _ "$P/$f"
	done
}

@test "instead of inotify there is events to follow" {
	timeout 20 tail -f "$P/.node/events" >"$T/seen" &
	local follower=$!
	mkdir "$P/web"
	within 10 grep -q web "$T/seen"
	kill $follower
}

@test "what is open of a pod that has gone never shows its successor" {
	mkdir "$P/web"
	echo 11 >"$P/web/grace"
	exec 5<"$P/web"
	cd "$P/web"
	rmdir "$P/web"
	mkdir "$P/web"
	echo 22 >"$P/web/grace"
	fails 'No such' cat ./grace
	fails 'No such' cat /proc/self/fd/5/grace
	fails 'No such' mkdir ./containers/x
	is 22 "$P/web/grace"
	cd /
	exec 5<&-
}

@test "the server opens no path of a user: a path in its own tree hangs nobody" {
	mkdir "$P/web"
	timeout 10 bash -c "echo 'dir:$P/web' > '$P/web/image'" || [ $? -ne 124 ]
	timeout 5 ls "$P" >/dev/null
	is web "$P/web/hostname"
	[ "$(readlink "/proc/$(server_pid)/cwd")" = / ]
}

@test "nobody but keeper and server holds /dev/fuse" {
	run_pod web "$forever"
	exec 5<>"$P/web/exec/web"
	local p holders='' all
	all=$(instance_pids; cat "$P/web/containers/web/pid")
	for p in $all $(for q in $all; do pgrep -P "$q"; done); do
		find "/proc/$p/fd" -lname /dev/fuse 2>/dev/null | grep -q . && holders="$holders $p"
	done
	exec 5>&-
	[ "$(tr ' ' '\n' <<<"$holders" | sort -u | grep -c .)" -eq 2 ]
	for p in $holders; do [[ $p == "$(keeper_pid)" || $p == "$(server_pid)" ]]; done
}

@test "opening with > and writing nothing sets the default" {
	mkdir "$P/web"
	echo 11 >"$P/web/grace"
	: >"$P/web/grace"
	is 30 "$P/web/grace"
	printf 'a=b\n' >"$P/web/labels"
	: >"$P/web/labels"
	is '' "$P/web/labels"
}

@test "mmap: of a log, yes" {
	run_pod web 'echo hello'
	is 0 "$P/web/wait/ended"
	cat >"$T/map.c" <<-'END'
		#include <fcntl.h>
		#include <stdio.h>
		#include <sys/mman.h>
		int main(int argc, char **argv)
		{
			void *p = mmap(0, 6, PROT_READ, MAP_PRIVATE, open(argv[1], O_RDONLY), 0);
			if (p == MAP_FAILED)
				return perror("mmap"), 1;
			return fwrite(p, 1, 6, stdout) != 6;
		}
	END
	cc -o "$T/map" "$T/map.c"
	[ "$("$T/map" "$P/web/logs/web")" = hello ]
	# of a file made when it is read there is nothing to map: ENODEV, or on newer kernels SIGBUS
	run ! "$T/map" "$P/web/status"
}
