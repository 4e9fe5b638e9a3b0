# Others than root: what they may look at and touch.

load lib

setup() {
	new_instance
	chmod 755 "$T"
	mount_podfs "users=nobody daemon"
}
as() { # USER COMMAND…
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
}

@test "another's pod is looked at and not touched" {
	run_pod web "$forever"
	is Running <(as nobody cat "$P/web/status")
	as nobody cat "$P/web/describe" "$P/.node/pods" >/dev/null
	fails 'ermission denied' as nobody sh -c "echo 5 > '$P/web/grace'"
	fails 'ermission denied' as nobody sh -c "echo kill > '$P/web/ctl'"
	fails 'ermi' as nobody rmdir "$P/web"
	fails 'ermi' as nobody mkdir "$P/web/containers/x"
	fails 'ermi' as nobody mkdir "$P/web/exec/x"
	fails 'ermission denied' as nobody sh -c "echo id > '$P/web/exec/web'"
	fails 'ermission denied' as nobody cat "$P/web/exec/web"
	fails 'ermi' as nobody chown nobody "$P/web"
	fails 'ermi' as nobody chmod 777 "$P/web"
	fails 'ermi' as nobody sh -c "cp '$IMAGES/busybox.tar' '$P/.node/images/x'"
	fails 'ermi' as nobody rm "$P/.node/images/busybox"
	is Running "$P/web/status"
	is 30 "$P/web/grace"
}

@test "a pod that is closed to others by chmod" {
	run_pod web "$forever"
	chmod 700 "$P/web"
	fails 'ermission denied' as nobody cat "$P/web/status"
	fails 'ermission denied' as nobody ls "$P/web"
	as nobody ls "$P" | grep -qx web
	chmod 755 "$P/web"
	is Running <(as nobody cat "$P/web/status")
}

@test "a closed pod is in no table of those who may not look into it" {
	run_pod web "$forever"
	run_pod open "$forever"
	as nobody mkdir "$P/mine"
	chmod 700 "$P/web" "$P/mine"
	local t
	for t in pods wide top; do
		has '^web ' "$P/.node/$t"
		has '^mine ' "$P/.node/$t"
		as nobody cat "$P/.node/$t" >"$T/seen"
		run ! grep -E '^web ' "$T/seen"
		has '^open ' "$T/seen"
		has '^mine ' "$T/seen"
		as daemon cat "$P/.node/$t" >"$T/seen"
		run ! grep -E '^(web|mine) ' "$T/seen"
		has '^open ' "$T/seen"
	done
	# of its group, also as a further one
	chgrp daemon "$P/web"
	chmod 750 "$P/web"
	has '^web ' <(as daemon cat "$P/.node/wide")
	has '^web ' <(setpriv --reuid nobody --regid nogroup --groups daemon cat "$P/.node/wide")
	run ! grep -E '^web ' <(as nobody cat "$P/.node/wide")
	# the size is that of what was opened
	[ "$(as nobody wc -c "$P/.node/wide" | cut -d' ' -f1)" -eq "$(as nobody cat "$P/.node/wide" | wc -c)" ]
	# one text is not handed on to another user, however fast he is
	setpriv --clear-groups python3 - "$P/.node/pods" <<-'END'
		import os, sys
		os.setgroups([])
		for i in range(300):
		    with open(sys.argv[1]) as f: assert '\nweb ' in f.read()
		    os.setresuid(65534, 65534, 0)
		    with open(sys.argv[1]) as f: assert '\nweb ' not in f.read()
		    os.setresuid(0, 0, 0)
	END
	chmod 755 "$P/web"
	has '^web ' <(as nobody cat "$P/.node/wide")
}

@test "only who is named may make pods" {
	fails 'ermi' as sync mkdir "$P/mine"
	grep -qE 'users' "$P/.node/error"
	as nobody mkdir "$P/mine"
	[ "$(stat -c %U "$P/mine")" = nobody ]
	has '^mine .*nobody' "$P/.node/wide"
}

@test "a user's own pod; two users at once" {
	import busybox
	local u pids=()
	for u in nobody daemon; do
		as $u mkdir "$P/of-$u"
		as $u sh -c "echo '$forever' > '$P/of-$u/command'; echo busybox > '$P/of-$u/image'" &
		pids+=($!)
	done
	wait_for "${pids[@]}"
	for u in nobody daemon; do
		is Running "$P/of-$u/status"
		[ "$(as $u sh -c "echo id -u > '$P/of-$u/exec/of-$u'; cat '$P/of-$u/exec/of-$u'")" = 0 ]
	done
	fails 'ermi' as nobody sh -c "echo kill > '$P/of-daemon/ctl'"
	fails 'ermi' as daemon rmdir "$P/of-nobody"
	as nobody rmdir "$P/of-nobody"
	[ "$(ls "$P")" = of-daemon ]
}

@test "what one user's shell printed is not read by another" {
	run_pod web "$forever"
	echo 'echo secret' >"$P/web/exec/web"
	fails 'ermission denied' as nobody cat "$P/web/exec/web"
	mkdir "$P/web/exec/s"
	echo 'sleep 100' >"$P/web/exec/s/cmd"
	fails 'ermission denied' as nobody cat "$P/web/exec/s/out"
	fails 'ermission denied' as nobody sh -c "echo x > '$P/web/exec/s/in'"
	rmdir "$P/web/exec/s"
	is secret "$P/web/exec/web"
}

@test "dir: is for root alone" {
	as nobody mkdir "$P/mine"
	fails 'ermi' as nobody bash -c "echo dir:/ > '$P/mine/image'"
	is Pending "$P/mine/status"
}

@test "chown hands a pod over" {
	run_pod web "$forever"
	chown nobody "$P/web"
	as nobody sh -c "echo 3 > '$P/web/grace'"
	is 3 "$P/web/grace"
	unmount_podfs
	mount_podfs
	[ "$(stat -c %U "$P/web")" = nobody ]
}

@test "records, images and sockets are closed to others" {
	run_pod web "$forever"
	fails 'ermission denied' as nobody ls "$T/state"
	fails 'ermission denied' as nobody ls "$T/run"
}
