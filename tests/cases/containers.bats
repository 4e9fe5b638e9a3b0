# What a container is: its command, user and environment, its files, its rights, its end.

load lib

# says WORDS: makes a container of image $1 that prints and ends; prints its log.
# start_pod IMAGE [FILE VALUE]…: settings of containers/c of pod p, then the image.
start_pod() {
	local image=$1
	shift
	mkdir "$P/p" "$P/p/containers/c"
	while [ $# -gt 0 ]; do
		echo "$2" >"$P/p/containers/c/$1"
		shift 2
	done
	echo "$image" >"$P/p/containers/c/image"
}
log() { timeout 20 cat "$P/p/wait/ended" >/dev/null; cat "$P/p/logs/c"; }
again() { rmdir "$P/p"; }
show_args='["sh","-c","for a; do echo \"<$a>\"; done","entry"]'

@test "ENTRYPOINT and CMD as Kubernetes combines them with command and args" {
	make_image both '{"Entrypoint":["echo","image-entry"],"Cmd":["image-cmd"],"Env":["PATH=/bin"]}'
	make_image cmd '{"Cmd":["echo","image-cmd"],"Env":["PATH=/bin"]}'
	make_image none '{"Env":["PATH=/bin"]}'
	start_pod both; [ "$(log)" = 'image-entry image-cmd' ]; again
	start_pod both args 'my-args'; [ "$(log)" = 'image-entry my-args' ]; again
	start_pod both command 'echo my-command'; [ "$(log)" = 'my-command' ]; again
	start_pod both command 'echo my-command' args 'my-args'; [ "$(log)" = 'my-command my-args' ]; again
	start_pod cmd; [ "$(log)" = 'image-cmd' ]; again
	start_pod cmd args 'echo my-args'; [ "$(log)" = 'my-args' ]; again
	mkdir "$P/p"
	run ! bash -c "echo none > '$P/p/image'"
	grep -q command "$P/p/error"
}

@test "words of a command: quotes, backslashes, JSON" {
	make_image all "{\"Entrypoint\":$show_args,\"Env\":[\"PATH=/bin\"]}"
	start_pod all args "one 'two words' \"three \\\"quoted\\\" words\" fo\\ ur '' \$HOME *"
	diff <(log) - <<-'END'
		<one>
		<two words>
		<three "quoted" words>
		<fo ur>
		<>
		<$HOME>
		<*>
	END
	again
	start_pod all args '["a b","\u00e9\t\"","",  "$x"]'
	diff <(log) <(printf '<a b>\n<\303\251\t">\n<>\n<$x>\n')
	again
	# a script of several lines arrives whole by cat; bash's echo would make a write of each line
	mkdir "$P/p"
	cat >"$P/p/command" <<-'END'
		sh -c 'echo one
		echo "two three"'
	END
	echo all >"$P/p/image"
	is 0 "$P/p/wait/ended"
	is $'one\ntwo three' "$P/p/logs/p"
}

@test "ENV: the image's, then the container's, the later one wins" {
	make_image env '{"Cmd":["env"],"Env":["PATH=/bin:/usr/bin","A=image","B=image"]}'
	start_pod env env $'B=mine\nC=with = and blanks \nC2='
	log >"$T/env"
	grep -qx 'PATH=/bin:/usr/bin' "$T/env"
	grep -qx 'A=image' "$T/env"
	grep -qx 'B=mine' "$T/env"
	grep -qx 'C=with = and blanks ' "$T/env"
	grep -qx 'C2=' "$T/env"
	grep -qx 'HOSTNAME=p' "$T/env"
	grep -qx 'HOME=/root' "$T/env"
	[ "$(grep -c '^B=' "$T/env")" -eq 1 ]
	run ! grep -q PODFS "$T/env"
}

@test "WORKDIR: the image's, the container's, one that is made" {
	make_image dir '{"Cmd":["pwd"],"Env":["PATH=/bin"],"WorkingDir":"/srv"}'
	start_pod dir; [ "$(log)" = /srv ]; again
	start_pod dir workdir /tmp; [ "$(log)" = /tmp ]; again
	start_pod dir workdir /new/one; [ "$(log)" = /new/one ]
}

@test "USER: numbers and names, with groups, the image's and the container's" {
	make_image user '{"Cmd":["sh","-c","id -u; id -g; id -G; echo $HOME"],"Env":["PATH=/bin"],"User":"app"}'
	start_pod user; [ "$(log | paste -sd,)" = '1000,1000,1000 2000,/home/app' ]; again
	start_pod user user 0; [ "$(log | paste -sd,)" = '0,0,0,/root' ]; again
	start_pod user user 1234:567; [ "$(log | head -n 2 | paste -sd,)" = '1234,567' ]; again
	start_pod user user app:extra; [ "$(log | head -n 2 | paste -sd,)" = '1000,2000' ]; again
	start_pod user user root; [ "$(log | head -n 1)" = 0 ]
}

@test "STOPSIGNAL of the image, SIGTERM without" {
	make_image sig '{"Cmd":["sh","-c","trap \"exit 41\" USR1; trap \"exit 42\" TERM; while :; do sleep 100 & wait; done"],
		"Env":["PATH=/bin"],"StopSignal":"SIGUSR1"}'
	start_pod sig
	within 5 trapping
	echo stop >"$P/p/ctl"
	is 41 "$P/p/wait/ended"
	again
	run_pod q 'sh -c "trap \"exit 42\" TERM; while :; do sleep 100 & wait; done"'
	within 5 trapping q
	echo stop >"$P/q/ctl"
	is 42 "$P/q/wait/ended"
}
# the shell has got as far as its loop: it has a child
trapping() { [ -n "$(pgrep -P "$(cat "$P/${1:-p}/containers/"*/pid)" sleep)" ]; }

@test "hostname, hosts, resolv.conf" {
	run_pod web "$forever"
	[ "$(in_container web 'hostname; cat /etc/hostname')" = $'web\nweb' ]
	in_container web 'cat /etc/hosts' >"$T/hosts"
	grep -qE '^127.0.0.1[[:space:]].*localhost' "$T/hosts"
	grep -qE '[[:space:]]web( |$)' "$T/hosts"
	in_container web 'cat /etc/resolv.conf' | diff - "$P/web/resolv.conf"
	echo other >"$P/web/hostname"
	[ "$(in_container web 'hostname; cat /etc/hostname')" = $'other\nother' ]
	# and nothing of the host is written through them
	in_container web 'echo x >> /etc/resolv.conf' 2>/dev/null || true
	run ! grep -qx x /etc/resolv.conf
}

@test "loopback is up" {
	run_pod web "$forever"
	in_container web 'ping -c 1 -W 2 127.0.0.1 >/dev/null || cat /sys/class/net/lo/operstate /sys/class/net/lo/flags' >"$T/lo"
	run ! grep -q down "$T/lo"
	in_container web 'echo hello | nc -l -p 7000 -w 5 & sleep 0.2; nc 127.0.0.1 7000 </dev/null' | grep -qx hello
	[ "$(in_container web 'ls /sys/class/net' | grep -c .)" -ge 1 ]
}

@test "/proc is the container's own" {
	run_pod web "$forever"
	in_container web 'ls -d /proc/[0-9]*' | wc -l | grep -qxE '[2-9]'
	in_container web 'cat /proc/1/cmdline' | tr '\0' ' ' | grep -q 'sh -c trap'
	# masked and read-only, as Docker has them
	[ "$(in_container web 'cat /proc/kcore 2>/dev/null | head -c 10 | wc -c')" -eq 0 ]
	[ "$(in_container web 'cat /proc/keys 2>/dev/null | wc -c')" -eq 0 ]
	[ "$(in_container web 'cat /proc/timer_list 2>/dev/null | wc -c')" -eq 0 ]
	[ "$(in_container web 'ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -c "^[^/]"')" -eq 0 ]
	for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/irq/default_smp_affinity /sys/kernel/profiling; do
		run ! in_container web "[ -e $f ] && echo 1 > $f"
	done
	run ! in_container web 'mount -o remount,rw /proc/sys'
}

@test "/dev has what it should have, and no more" {
	run_pod web "$forever"
	in_container web 'cd /dev; ls' >"$T/dev"
	for d in null zero full random urandom tty pts ptmx shm mqueue fd stdin stdout stderr; do grep -qx "$d" "$T/dev"; done
	run ! grep -vxE 'null|zero|full|random|urandom|tty|pts|ptmx|shm|mqueue|fd|stdin|stdout|stderr|console|core' "$T/dev"
	[ "$(in_container web 'head -c 5 /dev/zero | wc -c; echo x > /dev/null; echo x > /dev/full || echo full' 2>/dev/null)" = $'5\nfull' ]
	in_container web 'echo shared > /dev/shm/x && cat /dev/shm/x' | grep -qx shared
	in_container web 'stat -c %a /dev/shm; [ -c /dev/null ]' | grep -qx 1777
	# a device made in there gives nothing
	run ! in_container web 'mknod /tmp/sda b 8 0 && head -c 1 /tmp/sda'
	run ! in_container web 'mknod /dev/kmsg2 c 1 11 && head -c 1 /dev/kmsg2'
}

@test "containers of a pod share /dev/shm and nothing else of /dev" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	for c in a b; do
		echo "$forever" >"$P/web/containers/$c/command"
		echo busybox >"$P/web/containers/$c/image"
	done
	in_container web/a 'echo of-a > /dev/shm/f; echo x > /dev/x; echo x > /tmp/x'
	[ "$(in_container web/b 'cat /dev/shm/f; ls /dev/x /tmp/x 2>/dev/null')" = of-a ]
}

@test "/sys is read-only, the root file system is written and its own" {
	run_pod web "$forever"
	run ! in_container web 'mkdir /sys/fs/cgroup/x'
	in_container web 'echo mine > /etc/mine; rm /bin/vi'
	run_pod two "$forever"
	[ "$(in_container two 'ls /etc/mine /bin/vi 2>/dev/null')" = /bin/vi ]
	# a new run begins with the image's files
	echo restart >"$P/web/ctl"
	within 10 restarted web
	[ "$(in_container web 'ls /etc/mine /bin/vi 2>/dev/null')" = /bin/vi ]
}
restarted() { [ "$(in_container "$1" 'ls /etc/mine' 2>/dev/null)" = '' ] && grep -q '^running' "$P/$1/containers/$1/state"; }

@test "capabilities are Docker's default set, no_new_privs is on" {
	run_pod web "$forever"
	# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod
	# audit_write setfcap: capabilities(7)
	for f in CapPrm CapEff CapBnd; do
		[ "$(awk -v f=$f: '$1 == f { print $2 }' "/proc/$(cat "$P/web/containers/web/pid")/status")" = 00000000a80425fb ]
	done
	grep -qE '^CapAmb:[[:space:]]*0000000000000000' "/proc/$(cat "$P/web/containers/web/pid")/status"
	grep -qE '^NoNewPrivs:[[:space:]]*1' "/proc/$(cat "$P/web/containers/web/pid")/status"
	in_container web 'grep CapEff /proc/self/status' | grep -q 00000000a80425fb
	run ! in_container web 'mount -t tmpfs x /tmp'
	make_image user '{"Cmd":["grep","CapEff","/proc/self/status"],"Env":["PATH=/bin"],"User":"app"}'
	start_pod user
	log | grep -q 0000000000000000
}

@test "exit codes: 0, any other, and a signal's" {
	local pair
	for pair in 'true:0' 'false:1' 'sh -c "exit 255":255' 'sh -c "kill -9 $$; sleep 1"'; do
		[[ $pair == *kill* ]] && continue
		run_pod x "${pair%:*}"
		is "${pair##*:}" "$P/x/wait/ended"
		is "${pair##*:}" "$P/x/containers/x/exitcode"
		rmdir "$P/x"
	done
	run_pod x "$forever"
	echo 'kill KILL' >"$P/x/ctl"
	is 137 "$P/x/wait/ended"
	grep -qE '^terminated' "$P/x/containers/x/state"
	run ! grep -q OOM "$P/x/containers/x/state"
	rmdir "$P/x"
	run_pod x 'sleep 1000'
	echo 'kill 9' >"$P/x/containers/x/ctl"
	is 137 "$P/x/containers/x/wait/ended"
}

@test "phases: Pending, Running, Succeeded, Failed" {
	mkdir "$P/x"
	is Pending "$P/x/status"
	rmdir "$P/x"
	run_pod a 'sh -c "exit 0"'
	is 0 "$P/a/wait/ended"
	is Succeeded "$P/a/status"
	run_pod b 'sh -c "exit 3"'
	is 3 "$P/b/wait/ended"
	is Failed "$P/b/status"
	run_pod c "$forever"
	is Running "$P/c/status"
}

@test "ctl: stop, start, restart, pause, unpause, kill with a signal" {
	run_pod web 'sh -c "trap \"echo usr1\" USR1; trap \"exit 5\" TERM; echo up; while :; do sleep 100 & wait; done"'
	local c=$P/web/containers/web first
	within 5 trapping web
	first=$(cat "$c/pid")
	echo 'kill USR1' >"$c/ctl"
	within 5 grep -qx usr1 "$P/web/logs/web"
	echo pause >"$c/ctl"
	within 5 grep -q '^paused' "$c/state"
	echo unpause >"$c/ctl"
	within 5 grep -q '^running' "$c/state"
	within 5 trapping web
	echo restart >"$c/ctl"
	within 5 other_pid "$c" "$first"
	timeout 10 cat "$c/wait/running"
	within 5 trapping web
	echo stop >"$c/ctl"
	is 5 "$c/wait/ended"
	is '' "$c/pid"
	echo start >"$c/ctl"
	timeout 10 cat "$c/wait/running"
	is Running "$P/web/status"
	[ "$(cat "$c/pid")" != "$first" ]
}
other_pid() { local p; p=$(cat "$1/pid"); [ -n "$p" ] && [ "$p" != "$2" ]; }

@test "a container that is being stopped says so, and can be asked to start again" {
	import busybox
	mkdir "$P/p"
	echo 60 >"$P/p/grace"
	echo 'sh -c "trap : TERM; echo up; while :; do sleep 1; done"' >"$P/p/command"
	echo busybox >"$P/p/image"
	within 10 has up "$P/p/logs/p"
	echo stop >"$P/p/ctl"
	within 5 has '^running: being stopped, SIGKILL in (60|5[0-9]) s$' "$P/p/containers/p/state"
	has '^p: it is being stopped: it has been asked to end, and is killed in (60|5[0-9]) s$' "$P/p/why"
	has ' p/p stopping: SIGKILL in 60 s$' "$P/p/events"
	is Running "$P/p/status"
	# once more: it shortens the time that is left, but never makes it longer
	echo 30 >"$P/p/grace"
	echo stop >"$P/p/ctl"
	within 5 has 'SIGKILL in (30|2[0-9]) s$' "$P/p/containers/p/state"
	echo start >"$P/p/ctl"
	within 5 has '^running: being restarted, SIGKILL in ' "$P/p/containers/p/state"
	has 'being stopped and then started again' "$P/p/why"
	refused 'already in progress' "$P/p/ctl" start
	local before
	before=$(cat "$P/p/containers/p/pid")
	echo kill >"$P/p/ctl"
	within 10 another_pid "$before"
	is running "$P/p/containers/p/state"
	# whom nobody asked to start again stays as it is
	echo stop >"$P/p/ctl"
	echo kill >"$P/p/ctl"
	[ "$(ended p)" = 137 ]
	has '^terminated ' "$P/p/containers/p/state"
}
another_pid() { local now; now=$(cat "$P/p/containers/p/pid") && [ -n "$now" ] && [ "$now" != "$1" ]; }

@test "writing image again starts anew with the settings as they stand" {
	run_pod web 'echo one'
	is 0 "$P/web/wait/ended"
	echo 'echo two' >"$P/web/command"
	echo busybox >"$P/web/image"
	is 0 "$P/web/wait/ended"
	is $'one\ntwo' "$P/web/logs/web"
}

@test "restart written while it backs off: what would not be restarted any more has ended" {
	unmount_podfs
	mount_podfs backoff_base=300
	run_pod web 'sh -c "exit 7"'
	ended web
	echo Always >"$P/web/restart"
	echo start >"$P/web/ctl"
	within 10 has CrashLoopBackOff "$P/web/containers/web/state"
	echo OnFailure >"$P/web/restart"
	has CrashLoopBackOff "$P/web/containers/web/state"
	echo Never >"$P/web/restart"
	within 5 is 'terminated Error (exit code 7)' "$P/web/containers/web/state"
	is Failed "$P/web/status"
	is 7 "$P/web/wait/ended"
	is 1 "$P/web/containers/web/restarts"
}

@test "share pid: one PID namespace and a reaper" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	is 'ipc net uts' "$P/web/share"
	echo 'ipc net uts pid' >"$P/web/share"
	for c in a b; do
		echo "$forever" >"$P/web/containers/$c/command"
		echo busybox >"$P/web/containers/$c/image"
	done
	refused 'busy' "$P/web/share" 'ipc net uts'
	# what holds already may be written, as everywhere
	echo 'net pid ipc uts' >"$P/web/share"
	timeout 5 sh -c 'v=$(cat "$1") && echo "$v" >"$1"' _ "$P/web/share"
	is 'ipc net uts pid' "$P/web/share"
	refused 'busy' "$P/web/share" 'ipc net uts'
	[ "$(readlink "/proc/$(cat "$P/web/containers/a/pid")/ns/pid")" = "$(readlink "/proc/$(cat "$P/web/containers/b/pid")/ns/pid")" ]
	[ "$(in_container web/a 'ps | grep -c "[t]rap"')" -ge 2 ]
	# orphans are reaped
	in_container web/a 'sh -c "sleep 0.1 & " ; sleep 0.4; ps -o stat | grep -c Z || true' | grep -qx 0
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
}

@test "ns/ links work with nsenter, root with ls" {
	run_pod web "$forever"
	[ "$(nsenter --uts="$P/web/ns/uts" hostname)" = web ]
	nsenter --net="$P/web/ns/net" cat /proc/net/dev | grep -q 'lo:'
	[ "$(nsenter --net="$P/web/ns/net" cat /proc/net/dev | grep -c :)" -eq 2 ]
	nsenter --ipc="$P/web/ns/ipc" true
	ls "$P/web/containers/web/root/bin/busybox"
	echo through >"$P/web/containers/web/root/tmp/x"
	[ "$(in_container web 'cat /tmp/x')" = through ]
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	[ "$(cat "$P/web/containers/web/root/tmp/x")" = through ]
}

@test "a container is removed by rmdir while the others go on" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b"
	for c in a b; do
		echo "$forever" >"$P/web/containers/$c/command"
		echo busybox >"$P/web/containers/$c/image"
	done
	rmdir "$P/web/containers/a"
	[ "$(ls "$P/web/containers")" = b ]
	mkdir "$P/web/containers/a"
	echo 'echo second' >"$P/web/containers/a/command"
	echo busybox >"$P/web/containers/a/image"
	is 0 "$P/web/containers/a/wait/ended"
	is second "$P/web/logs/a"
	grep -q '^running' "$P/web/containers/b/state"
}

@test "dir:/path as an image is for root" {
	mkdir "$P/web" "$T/root"
	busybox_layer | tar -C "$T/root" -xf -
	find "$T/root" | sort >"$T/before"
	echo 'sh -c "echo from a folder; echo x > /etc/passwd; mkdir /new"' >"$P/web/command"
	echo "dir:$T/root" >"$P/web/image"
	is 0 "$P/web/wait/ended"
	is 'from a folder' "$P/web/logs/web"
	# it is a layer: nothing is written there
	grep -q root "$T/root/etc/passwd"
	find "$T/root" | sort | diff "$T/before" -
}
