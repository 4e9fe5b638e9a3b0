# What the tree tells: status, why, describe, tables, events, pod.yaml.

load lib

@test "the files of a pod and of the node are there" {
	run_pod web "$forever"
	local f
	for f in status describe pod.yaml why events error wait/running wait/ready wait/ended ip hostname ctl image pull command \
		memory.max memory.high cpu.max cpu.weight pids.max memory.current memory.peak memory.events cpu.stat pids.current \
		labels annotations grace restart share network ports hosts resolv.conf net.ingress net.egress net.stat ns/ipc ns/net ns/uts containers/web logs/web exec/web \
		containers/web/{image,pull,command,args,env,workdir,user,ctl,state,pid,exitcode,restarts,root,wait/ended}; do
		[ -e "$P/web/$f" ] || [ -L "$P/web/$f" ] || { echo "no $f"; return 1; }
	done
	for f in help version config pods wide top events error leaving leaks images pull df; do
		[ -e "$P/.node/$f" ] || { echo "no .node/$f"; return 1; }
	done
	# what belongs to a later time is absent, not a stub
	[ ! -e "$P/web/volumes" ]
	[ "$(ls "$P")" = web ]
	[ "$(ls -a "$P" | grep -c '^.node$')" -eq 1 ]
}

@test "every readable file of the tree can be read" {
	run_pod web "$forever"
	local f
	find "$P" -type f -readable ! -path '*/wait/ended' ! -path '*/exec/web' ! -name ctl | while read -r f; do
		timeout 5 cat "$f" >/dev/null || { echo "cat $f: $?"; return 1; }
	done
	timeout 5 ls -lR "$P" >/dev/null
	timeout 5 find "$P" -ls >/dev/null
	timeout 5 du "$P" >/dev/null
	timeout 5 df "$P" >/dev/null
	fails 'ermission denied' bash -c "cat '$P/web/ctl'" || fails 'not permitted' bash -c "cat '$P/web/ctl'" || true
}

@test "pods and wide are tables" {
	run_pod web "$forever"
	run_pod job 'true'
	is 0 "$P/job/wait/ended"
	mkdir "$P/new"
	head -n 1 "$P/.node/pods" | grep -qE '^NAME +READY +STATUS +RESTARTS +AGE$'
	has '^web +1/1 +Running +0 +[0-9]+s$' "$P/.node/pods"
	has '^job +0/1 +(Completed|Succeeded) +0 ' "$P/.node/pods"
	has '^new +0/0 +Pending +0 ' "$P/.node/pods"
	head -n 1 "$P/.node/wide" | grep -qE 'IP +CONTAINERS +IMAGES +OWNER'
	has "^web +1/1 +Running .* $(head -n 1 "$P/web/ip")(,[^ ]*)? +web +busybox +root" "$P/.node/wide"
	head -n 1 "$P/.node/top" | grep -qE '^POD|^NAME'
	has '^web' "$P/.node/top"
	[ "$(wc -l <"$P/.node/pods")" -eq 4 ]
}

@test "describe, why and state say what is" {
	mkdir "$P/web"
	grep -qiE 'image|container' "$P/web/why"
	import busybox
	echo 'sh -c "exit 3"' >"$P/web/command"
	echo busybox >"$P/web/image"
	is 3 "$P/web/wait/ended"
	has 'web' "$P/web/describe"
	has 'busybox' "$P/web/describe"
	has '3' "$P/web/why"
	[ "$(wc -l <"$P/web/why")" -eq 1 ]
	has '^terminated.*Error.*3' "$P/web/containers/web/state" || has '^terminated.*3' "$P/web/containers/web/state"
	[ "$(wc -l <"$P/web/containers/web/state")" -eq 1 ]
	is '' "$P/web/containers/web/pid"
	is 3 "$P/web/containers/web/exitcode"
	is 0 "$P/web/containers/web/restarts"
}

@test "wait/: running, ready, ended" {
	mkdir "$P/web"
	import busybox
	local running ready ended
	timeout 20 cat "$P/web/wait/running" >"$T/r" &
	running=$!
	timeout 20 cat "$P/web/wait/ready" >"$T/y" &
	ready=$!
	timeout 20 cat "$P/web/wait/ended" >"$T/e" &
	ended=$!
	echo "$forever" >"$P/web/command"
	echo busybox >"$P/web/image"
	wait_for $running $ready
	run -124 timeout 0.3 cat "$P/web/wait/ended"
	echo kill >"$P/web/ctl"
	wait_for $ended
	is 137 "$T/e"
	# nobody waits for what has been
	timeout 5 cat "$P/web/wait/running" >"$T/r" || [ $? -ne 124 ]
}

@test "wait/ended of a pod: 0 if all ended with 0, else the first that did not" {
	import busybox
	mkdir "$P/web" "$P/web/containers/a" "$P/web/containers/b" "$P/web/containers/c"
	echo 'true' >"$P/web/containers/a/command"
	echo 'sh -c "sleep 0.3; exit 7"' >"$P/web/containers/b/command"
	echo 'sh -c "exit 8"' >"$P/web/containers/c/command"
	for c in a b c; do echo busybox >"$P/web/containers/$c/image"; done
	is 7 "$P/web/wait/ended"
	is 0 "$P/web/containers/a/wait/ended"
	is 8 "$P/web/containers/c/wait/ended"
	is Failed "$P/web/status"
}

@test "events: a time, the pod, what happened; tail -f follows" {
	run_pod web "$forever"
	echo kill >"$P/web/ctl"
	is 137 "$P/web/wait/ended"
	run ! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z .*web' "$P/web/events"
	[ "$(wc -l <"$P/web/events")" -ge 2 ]
	[ "$(grep -c web "$P/.node/events")" -ge "$(wc -l <"$P/web/events")" ]
}

@test "pod.yaml is what Kubernetes accepts" {
	run_pod web "$forever"
	printf 'app=web\ntier=front\n' >"$P/web/labels"
	printf 'note=a: b # c\n' >"$P/web/annotations"
	mkdir "$P/web/containers/hard"
	printf '["sh","-c","echo \\"$A\\" \\\\\\\\ # : - {} ; sleep 1000"]' >"$P/web/containers/hard/command"
	printf 'A=1\nB=yes\nC=with: colon #and hash\nD= lead\n' >"$P/web/containers/hard/env"
	echo 64M >"$P/web/containers/hard/memory.max"
	echo busybox >"$P/web/containers/hard/image"
	"$BATS_TEST_DIRNAME/../kubectl" <"$P/web/pod.yaml" || {
		[ $? -eq 77 ] && skip "kubectl does not work here"
		cat "$P/web/pod.yaml"
		return 1
	}
	get() { kubectl label --local -f - x=y -o "jsonpath=$1" <"$P/web/pod.yaml"; }
	[ "$(get '{.metadata.name}')" = web ]
	[ "$(get '{.metadata.labels.app}')" = web ]
	[ "$(get '{.metadata.annotations.note}')" = 'a: b # c' ]
	[ "$(get '{.status.phase}')" = Running ]
	[ "$(get '{.spec.containers[*].name}')" = 'web hard' ]
	[ "$(get '{.spec.containers[1].env[2].value}')" = 'with: colon #and hash' ]
	[ "$(get '{.spec.containers[1].env[3].value}')" = ' lead' ]
	[ "$(get '{.spec.restartPolicy}')" = Never ]
	[ "$(get '{.status.containerStatuses[0].state.running.startedAt}')" != '' ]
	[ "$(get '{.status.podIP}')" = "$(head -n 1 "$P/web/ip")" ]
	[ "$(get '{.status.podIPs[*].ip}')" = "$(paste -sd' ' "$P/web/ip")" ]
}

@test "ls -l of an image: its bytes and its last use; its text ends where it ends" {
	import busybox
	local f=$P/.node/images/busybox t=$T/text before
	[ "$(stat -c %s "$f")" = "$(sed -n 's/^Size: *//p' "$f")" ]
	[ "$(stat -c %s "$f")" -gt 1000000 ]
	cat "$f" >"$t"
	tail -n 2 "$f" | cmp - <(tail -n 2 "$t")
	head -n 1 "$f" | cmp - <(head -n 1 "$t")
	cp "$f" "$T/copy"
	cmp "$T/copy" "$t"
	grep -q '^Layers: ' "$f"
	before=$(stat -c %.Y "$f")
	run_pod web 'true'
	is 0 "$P/web/wait/ended"
	awk -v a="$before" -v b="$(stat -c %.Y "$f")" 'BEGIN { exit !(b > a) }'
	[ "$(stat -c %.X "$f")" = "$(stat -c %.Y "$f")" ]
}

@test ".node/pull takes all lines of a write or none" {
	local f=$P/.node/pull
	is '' "$f"
	refused 'Invalid argument' "$f" ''
	refused 'Invalid argument' "$f" 'NO SUCH NAME'
	grep -q 'NO SUCH NAME' "$P/.node/error"
	refused 'Invalid argument' "$f" 'oci:/srv/../x'
	refused 'Invalid argument' "$f" "$(printf 'a%.0s' {1..300})"
	printf 'localhost:1/a\nNO SUCH NAME\n' >"$T/list"
	fails 'Invalid argument' cp "$T/list" "$f"
	is '' "$f"
	fails 'Invalid argument' dd if=/dev/zero of="$f" bs=10 count=1 conv=notrunc
	fails 'too long' dd if=<(yes localhost:1/a | head -c 80000) of="$f" bs=80000 iflag=fullblock conv=notrunc
	is '' "$f"
	: >"$f"
	# blank lines are none, blanks around a reference are not part of it; an unfinished line counts
	printf '\n  localhost:1/a \n\nlocalhost:1/b' | cat >"$f"
	has '^REFERENCE +STATE +LAYER +BYTES +% +RATE +TIME +FOR$' "$f"
	has '^localhost:1/a +(Pulling|BackOff) .* node' "$f"
	has '^localhost:1/b +(Pulling|BackOff) .* node' "$f"
	[ "$(wc -l <"$f")" -eq 3 ]
	# who keeps it open sees what holds when he comes back to the start
	exec 7<"$f"
	grep -q localhost:1/a <&7
	rm "$P/.node/images/localhost:1/a" "$P/.node/images/localhost:1/b"
	is '' "$f"
	python3 -c 'import os, sys; sys.exit(os.pread(7, 100, 0) != b"")'
	exec 7<&-
}

# seq writes whole blocks, which end anywhere.
@test ".node/pull: a long list, cut anywhere" {
	seq -f 'localhost:1/n%g' 300 >"$T/list"
	[ "$(head -c 4096 "$T/list" | tail -c 1)" != "" ]
	seq -f 'localhost:1/n%g' 300 >"$P/.node/pull"
	awk 'NR > 1 { print $1 }' "$P/.node/pull" | sort | cmp - <(sort "$T/list")
	[ "$(ls "$P/.node/images/localhost:1" | wc -l)" -eq 300 ]
	find "$P/.node/images/localhost:1" -type f -delete
	is '' "$P/.node/pull"
	# the last block ends inside a name, and the list without a newline
	{ echo localhost:1/a; yes '' | head -n 1001; printf 'localhost'; } >"$T/list"
	[ "$(wc -c <"$T/list")" -eq 1024 ]
	cat "$T/list" >"$P/.node/pull"
	has '^localhost ' "$P/.node/pull"
	rm "$P/.node/images/localhost:latest" "$P/.node/images/localhost:1/a"
}

@test "images from the host stand below images/ by their transport" {
	local i=$P/.node/images a=$T/with/b.tar
	mkdir -p "$T/with"
	cp "$IMAGES/busybox.tar" "$a"
	echo "oci-archive:$a" >"$P/.node/pull"
	within 20 nothing_pulled
	[ -f "$i/oci-archive:$a" ]
	[ -d "$i/oci-archive:" ]
	[ "$(ls "$i/oci-archive:$T/with")" = b.tar ]
	has "^Image: +oci-archive:$a\$" "$i/oci-archive:$a"
	[ "$(find "$i" -type f)" = "$i/oci-archive:$a" ]
	mkdir "$P/web"
	echo true >"$P/web/command"
	echo "oci-archive:/$a" >"$P/web/image"
	is 0 "$P/web/wait/ended"
	fails 'busy' rm "$i/oci-archive:$a"
	rmdir "$P/web"
	within 5 none_leaving
	# not what cp is for
	fails 'Invalid argument' cp "$a" "$i/oci-archive:$a.2"
	fails 'Invalid argument' mkdir -p "$i/oci:/srv"
	rm "$i/oci-archive:$a"
	[ -z "$(ls "$i")" ]
	# docker:// says nothing
	import busybox
	grep -q '^Name: *docker.io/library/busybox:latest$' "$i/docker://busybox"
	rm "$i/docker://docker.io/library/busybox"
	[ -z "$(ls "$i")" ]
}
nothing_pulled() { [ -z "$(cat "$P/.node/pull")" ]; }

@test "the pull policy is a file of pod and container" {
	mkdir "$P/web"
	import busybox
	echo Always >"$P/web/pull"
	is Always "$P/web/pull"
	is Always "$P/web/containers/web/pull"
	refused 'Invalid argument' "$P/web/containers/web/pull" sometimes
	grep -q sometimes "$P/web/containers/web/error"
	is Always "$P/web/pull"
	: >"$P/web/containers/web/pull"
	is IfNotPresent "$P/web/pull"
	echo Never >"$P/web/pull"
	has '^ +Pull Policy: +Never$' "$P/web/describe"
	has '^ +imagePullPolicy: Never$' "$P/web/pod.yaml"
	refused 'No such file' "$P/web/image" localhost:1/none
	grep -q 'Never' "$P/web/error"
	is '' "$P/web/image"
	echo true >"$P/web/command"
	echo busybox >"$P/web/image"
	is 0 "$P/web/wait/ended"
	unmount_podfs
	mount_podfs
	is Never "$P/web/pull"
}

@test "a pull that fails: the words of kubelet, in every text" {
	mkdir "$P/web" "$P/web/containers/a"
	echo localhost:1/none >"$P/web/containers/a/image"
	fails 'refused' timeout 20 cat "$P/web/wait/running"
	has '^web +0/1 +(ErrImagePull|ImagePullBackOff) +0 ' "$P/.node/pods"
	has '^waiting (ErrImagePull|ImagePullBackOff): localhost:1/none: .*refused.*next try in' "$P/web/containers/a/state"
	has '^localhost:1/none +BackOff .* web/a: .*refused.*next try in' "$P/.node/pull"
	has '^a: (ErrImagePull|ImagePullBackOff): .*refused' "$P/web/why"
	[ "$(wc -l <"$P/web/why")" -eq 1 ]
	has '^ +Reason: +(ErrImagePull|ImagePullBackOff)$' "$P/web/describe"
	has '^ +Pull: +next try in [0-9]+ s$' "$P/web/describe"
	has '^For: +web/a$' "$P/.node/images/localhost:1/none"
	is Pending "$P/web/status"
	if "$BATS_TEST_DIRNAME/../kubectl" <"$P/web/pod.yaml"; then
		kubectl label --local -f - x=y -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason}' \
			<"$P/web/pod.yaml" | grep -qE '^(ErrImagePull|ImagePullBackOff)$'
	else
		[ $? -eq 77 ]
	fi
	rm "$P/.node/images/localhost:1/none"
	is '' "$P/.node/pull"
	fails 'canceled' timeout 5 cat "$P/web/wait/running"
	[ -z "$(ls "$P/.node/images")" ]
}

@test "settings read as they were written" {
	mkdir "$P/web" "$P/web/containers/a"
	local c=$P/web/containers/a
	echo 'sh -c "echo a  b"' >"$c/command"
	is 'sh -c "echo a  b"' "$c/command" || is "sh -c 'echo a  b'" "$c/command"
	cat "$c/command" >"$T/command"
	cat "$T/command" >"$c/command"
	cmp "$T/command" "$c/command"
	echo app:extra >"$c/user"
	is app:extra "$c/user"
	echo /srv >"$c/workdir"
	is /srv "$c/workdir"
	echo Always >"$P/web/restart"
	is Always "$P/web/restart"
	echo 2m >"$P/web/grace"
	is 120 "$P/web/grace"
	[ "$(wc -l <"$P/web/ip")" -eq 2 ]
	is web "$P/web/hostname"
	printf '%s\n' 8080:80 127.0.0.1:5353:53/udp '[::1]:8081:80' >"$P/web/ports"
	is $'8080:80/tcp\n127.0.0.1:5353:53/udp\n[::1]:8081:80/tcp' "$P/web/ports"
	echo 20M >"$P/web/net.egress"
	cp "$P/web/hosts" "$P/web/ip" "$T"
	# and outlive the mount
	unmount_podfs
	mount_podfs
	is app:extra "$c/user"
	cmp "$T/command" "$c/command"
	is 120 "$P/web/grace"
	is $'8080:80/tcp\n127.0.0.1:5353:53/udp\n[::1]:8081:80/tcp' "$P/web/ports"
	is 20971520 "$P/web/net.egress"
	cmp "$T/hosts" "$P/web/hosts"
	cmp "$T/ip" "$P/web/ip"
}

@test "a value of 10 kB outlives the mount" {
	mkdir "$P/web" "$P/web/containers/a"
	local long
	long=$(seq 1 2100 | tr '\n' ' ')
	printf 'LONG=%s\n' "$long" >"$P/web/containers/a/env"
	printf 'echo %s\n' "$long" >"$P/web/containers/a/command"
	cat "$P/web/containers/a/env" >"$T/env"
	[ "$(wc -c <"$T/env")" -gt 9000 ]
	unmount_podfs
	mount_podfs
	cmp "$T/env" "$P/web/containers/a/env"
	import busybox
	echo busybox >"$P/web/containers/a/image"
	is 0 "$P/web/wait/ended"
	[ "$(cat "$P/web/logs/a")" = "${long% }" ]
}

@test "the examples of the manuals and of README" {
	import busybox
	import nginx nginx:alpine
	"$BATS_TEST_DIRNAME/../docs-examples" "$P"
}
