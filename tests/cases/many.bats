# Many at once: 8 shells making and removing 50 pods, 300 readers that wait.
# alone
# plain

load lib

# One of 8 shells: every 8th of 50 pods, two containers each.
shell_of() {
	local i p
	for ((i = $1; i < 50; i += 8)); do
		p=$P/p$i
		mkdir "$p" "$p/containers/a" "$p/containers/b" || return 1
		echo 0 >"$p/grace"
		echo "$forever" >"$p/containers/a/command"
		echo 'sh -c "echo $HOSTNAME; hostname"' >"$p/containers/b/command"
		echo busybox >"$p/containers/a/image" || return 1
		echo busybox >"$p/containers/b/image" || return 1
		[ "$(timeout 60 cat "$p/containers/b/wait/ended")" = 0 ] || { echo "p$i: b did not end with 0"; return 1; }
		[ "$(cat "$p/status")" = Running ] || { echo "p$i: $(cat "$p/status")"; return 1; }
		[ "$(cat "$p/logs/b")" = "p$i"$'\n'"p$i" ] || [ "$(tail -n 1 "$p/logs/b")" = "p$i" ] || { echo "p$i: log of b"; return 1; }
		grep -q '^running' "$p/containers/a/state" || { echo "p$i: $(cat "$p/containers/a/state")"; return 1; }
		grep -q '^terminated' "$p/containers/b/state" || { echo "p$i: $(cat "$p/containers/b/state")"; return 1; }
		[ "$2" = keep ] || rmdir "$p" || return 1
	done
}

# How long others wait for ls and cat status, until the file `stop` is there: the shell itself does both, so that
# what is measured is the answer and not the start of a program on a machine that is busy.
measure() {
	local from status all
	while [ ! -e "$T/stop" ]; do
		from=$EPOCHREALTIME
		all=("$P"/*)
		echo "$from $EPOCHREALTIME ls" >>"$T/times"
		from=$EPOCHREALTIME
		read -r status <"$P/other/status" || status=
		echo "$from $EPOCHREALTIME status" >>"$T/times"
		[ "$status" = Running ] || echo "other is $status" >>"$T/wrong"
		[[ " ${all[*]} " == *" $P/other "* ]] || echo "other is not listed" >>"$T/wrong"
		read -rt 0.02 <> <(:) || :
	done
}
took() { awk -v what="$1" '$3 == what { printf "%d\n", ($2 - $1) * 1000000 }' "$T/times" | median; }

eight_shells() {
	local i pids=()
	import busybox
	run_pod other "$forever"
	measure &
	local meter=$!
	for i in 0 1 2 3 4 5 6 7; do shell_of $i "$1" >"$T/shell$i" 2>&1 & pids+=($!); done
	for i in 0 1 2 3 4 5 6 7; do wait "${pids[$i]}" || { cat "$T/shell$i"; touch "$T/wrong"; }; done
	touch "$T/stop"
	wait $meter
	echo "# $1: median of ls $(took ls) us, of cat status $(took status) us, of $(wc -l <"$T/times") answers" >&3
	[ ! -e "$T/wrong" ] || { cat "$T/wrong"; return 1; }
}

@test "50 pods of 2 containers, made and removed by 8 shells at once" {
	eight_shells remove
	[ "$(ls "$P")" = other ]
	within 20 none_leaving
	[ "$(find "$T/state/pods" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
}

@test "50 pods of 2 containers that stay, then all removed" {
	eight_shells keep
	[ "$(ls "$P" | wc -l)" -eq 51 ]
	[ "$(grep -cE '^p[0-9]+ +1/2 +' "$P/.node/pods")" -eq 50 ]
	for p in "$P"/p*/; do rmdir "$p"; done
	[ "$(ls "$P")" = other ]
	within 30 none_leaving
	within 10 only_one_left
}
only_one_left() { [ "$(find "$T/state/pods" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]; }

# 300 readers: 100 of wait/ended, 100 of a session's out, 100 tail -f of the log.
start_readers() {
	local i
	for ((i = 0; i < 100; i++)); do
		reader cat "$P/web/wait/ended"
		reader cat "$P/web/exec/s/out"
		reader tail -f "$P/web/logs/web"
	done
}
# Background jobs of a script ignore ^C; these do not, as a person's do not.
reader() {
	env --default-signal=INT "$@" >/dev/null 2>&1 &
	echo $! >>"$T/readers"
}
waiting() { [ "$(xargs -a "$T/readers" -I{} cat /proc/{}/wchan 2>/dev/null | wc -c)" -gt 0 ] && [ "$(alive)" -eq 300 ]; }
alive() { local n=0 p; while read -r p; do ended_or_zombie "$p" || n=$((n + 1)); done <"$T/readers"; echo $n; }
none_alive() { [ "$(alive)" -eq 0 ]; }

readers_die_of() {
	run_pod web "$forever"
	mkdir "$P/web/exec/s"
	echo 'sleep 1000' >"$P/web/exec/s/cmd"
	local server before from
	server=$(server_pid)
	start_readers
	[ "$(wc -l <"$T/readers")" -eq 300 ]
	within 10 waiting
	from=$EPOCHREALTIME
	timeout 5 cat "$P/web/status" >/dev/null
	echo "# cat status beside 300 waiting readers: $(awk "BEGIN { printf \"%d\", ($EPOCHREALTIME - $from) * 1000000 }") us" >&3
	xargs -a "$T/readers" kill -"$1"
	within 5 none_alive
	[ "$(server_pid)" = "$server" ]
	is Running "$P/web/status"
	timeout 5 ls "$P" >/dev/null
	rmdir "$P/web/exec/s"
}

@test "300 waiting readers die of ^C, the server unmoved" { readers_die_of INT; }
@test "300 waiting readers die of SIGKILL, the server unmoved" { readers_die_of KILL; }

@test "many waiters of one pod all get their answer" {
	import busybox
	mkdir "$P/w2"
	echo 'sh -c "trap \"exit 7\" TERM; while :; do sleep 100 & wait; done"' >"$P/w2/command"
	echo busybox >"$P/w2/image"
	local i pids=()
	for ((i = 0; i < 50; i++)); do
		timeout 20 cat "$P/w2/wait/ended" >"$T/got$i" &
		pids+=($!)
	done
	echo stop >"$P/w2/ctl"
	wait_for "${pids[@]}"
	[ "$(cat "$T"/got* | sort | uniq -c | tr -s ' ')" = ' 50 7' ]
}
