# The page of use (docs, "One page of use"), line by line, in bash and in dash.

load lib

# Runs a line of the page as it stands there, for this instance's mount point.
line() { timeout 60 "$SH" -ec "${1//\/pods/$P}"; }

one_container() {
	line 'cp '"$IMAGES"'/nginx.tar /pods/.node/images/nginx:alpine'
	line 'mkdir /pods/podtest'
	line 'echo nginx:alpine > /pods/podtest/image'
	[ "$(line 'ls /pods')" = podtest ]
	line 'cat /pods/.node/wide' | grep -E '^podtest +1/1 +Running'
	line 'cat /pods/.node/wide' | grep -F " $(line 'cat /pods/podtest/ip' | head -n 1)"
	line 'cat /pods/podtest/describe' | grep -F 'nginx:alpine'
	line 'cat /pods/podtest/pod.yaml' | grep -E '^kind: Pod'
	line 'cat /pods/podtest/logs/podtest'
	line 'timeout 30 cat /pods/podtest/wait/ready'
	line 'tail -f /pods/podtest/logs/podtest >'"$T"'/tail & wait_for_it=$!; timeout 1 cat /pods/podtest/wait/ended || kill $wait_for_it'
	line 'rmdir /pods/podtest'
	[ -z "$(line 'ls /pods')" ]
}

two_containers() {
	line 'cp '"$IMAGES"'/nginx.tar /pods/.node/images/nginx:alpine'
	line 'cp '"$IMAGES"'/busybox.tar /pods/.node/images/busybox'
	line 'mkdir /pods/web'
	line 'echo 256M > /pods/web/memory.max'
	is 268435456 "$P/web/memory.max"
	line 'mkdir /pods/web/containers/nginx'
	line 'echo nginx:alpine > /pods/web/containers/nginx/image'
	line 'mkdir /pods/web/containers/probe'
	line "echo 'sh -c \"while :; do wget -qO- http://127.0.0.1/; sleep 1; done\"' > /pods/web/containers/probe/command"
	line 'echo busybox > /pods/web/containers/probe/image'
	within 20 grep -qi '<html' "$P/web/logs/probe"
	# they share hostname and IPC namespace
	local a b
	a=$(cat "$P/web/containers/nginx/pid") b=$(cat "$P/web/containers/probe/pid")
	for ns in net ipc uts; do [ "$(readlink "/proc/$a/ns/$ns")" = "$(readlink "/proc/$b/ns/$ns")" ]; done
	for ns in mnt cgroup pid; do [ "$(readlink "/proc/$a/ns/$ns")" != "$(readlink "/proc/$b/ns/$ns")" ]; done
	# and one address, which is theirs
	grep -v 127.0.0.1 "$P/web/ip" | head -n 1 | grep -qxE '[0-9]+(\.[0-9]+){3}'
	host curl -sm 5 "http://$(head -n 1 "$P/web/ip")/" | grep -q 'from the third layer'
	line "echo 'nginx -v; cat /etc/hostname' > /pods/web/exec/nginx"
	line 'cat /pods/web/exec/nginx' >"$T/said"
	grep -q 'nginx version' "$T/said"
	grep -qx web "$T/said"
}

streams() {
	import busybox
	mkdir "$P/web"
	mkdir "$P/web/containers/nginx"
	echo "$forever" >"$P/web/containers/nginx/command"
	echo busybox >"$P/web/containers/nginx/image"
	line "exec 3<>/pods/web/exec/nginx
		echo 'echo \$\$; exit' >&3; cat <&3; exec 3>&-" >"$T/said"
	grep -qxE '[0-9]+' "$T/said"
	[ "$(wc -l <"$T/said")" -eq 1 ]
	line 'mkdir /pods/web/exec/s1'
	line "echo 'ls /nowhere' > /pods/web/exec/s1/cmd"
	line 'cat /pods/web/exec/s1/err; cat /pods/web/exec/s1/exit; rmdir /pods/web/exec/s1' >"$T/said"
	head -n 1 "$T/said" | grep -q '/nowhere: No such file'
	[ "$(tail -n 1 "$T/said")" = 1 ]
	[ ! -e "$P/web/exec/s1" ]
}

@test "bash: a pod of one container" { SH=bash one_container; }
@test "dash: a pod of one container" { SH=dash one_container; }
@test "bash: a pod of two containers" { SH=bash two_containers; }
@test "dash: a pod of two containers" { SH=dash two_containers; }
@test "bash: exec as a stream and as a session" { SH=bash streams; }
@test "dash: exec as a stream and as a session" { SH=dash streams; }
@test "busybox sh: exec as a stream and as a session" { SH="$T/sh"; ln -s "$(command -v busybox)" "$SH"; streams; }
