# What others change beneath a running pod: it is noticed, said, and put right where it is clear what is right.

load lib

pod_pid() { readlink "$P/$1/ns/net" | cut -d/ -f3; }
pod_folder() { echo "$T/state/pods/$(sed -n 's/^UID: *//p' "$P/$1/describe")"; }
no_file() { [ ! -e "$1" ]; }

@test "a folder that somebody mounted into a container's layer is not emptied with it" {
	run_pod web "$forever"
	timeout 20 cat "$P/web/wait/running"
	local up uid
	uid=$(basename "$(pod_folder web)")
	up=$(echo "$(pod_folder web)"/c/*/1/upper)
	mkdir "$T/kept" "$up/x"
	echo word >"$T/kept/file"
	mount --bind "$T/kept" "$up/x"
	EXTRA_MOUNT=$up/x
	echo 0 >"$P/web/grace"
	rmdir "$P/web"
	within 10 has "$uid.*busy" "$P/.node/leaks"
	is word "$T/kept/file"
	umount "$EXTRA_MOUNT"
	EXTRA_MOUNT=
	echo retry >"$P/.node/leaks"
	within 10 is '' "$P/.node/leaks"
	is word "$T/kept/file"
}
