# kill -9 in the middle: whatever dies while a pod's network is made, changed or removed, nothing of it is left.
# What is drawn by lot follows from SEED, which is printed.
# plain
# long

load lib
load net

setup() {
	new_instance
	with_outside
	mount_podfs
	RANDOM=${SEED:-$$}
	echo "# seed ${SEED:-$$}"
}

net_victim() { net_pid; }
server_victim() { server_pid; }
both_victim() { net_pid; server_pid; }
all_victim() { net_pid; server_pid; pgrep -f "podfs-pod .*$T/"; }
pod_victim() { pgrep -f "podfs-pod .*$T/"; }

# What is done when it happens; that it fails is all right, that it hangs is not.
mkdir_work() { mkdir "$P/web"; }
network_work() { echo none >"$P/web/network"; echo bridge >"$P/web/network"; }
ports_work() { seq -f '%g:80' 8000 8040 >"$P/web/ports"; : >"$P/web/ports"; }
rmdir_work() { rmdir "$P/web"; }

answers() { timeout 5 ls "$P/.node" >/dev/null 2>&1; }
round() { # WORK VICTIM
	local worker wait=$((RANDOM % 14)) pids
	if [ "$1" != mkdir ]; then
		within 10 made_web || return 1
		[ "$1" != rmdir ] || echo 8080:80 >"$P/web/ports"
	fi
	declare -f "$1_work" >"$T/work"
	P=$P timeout 20 bash -c ". '$T/work'; $1_work" 2>/dev/null &
	worker=$!
	# a moment of the work, not an event
	read -rt "0.0$((100 + wait * 10))" <> <(:) || :
	pids=$("$2_victim")
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
	wait $worker || [ $? -ne 124 ] || { echo "$1 hangs after kill -9 of $2"; return 1; }
	# the keeper gives up after five servers in a row
	within 5 answers || { ! mounted || umount "$P"; mount_podfs; } 2>/dev/null || return 1
	within 10 answers || return 1
}
made_web() { [ -d "$P/web" ] || mkdir "$P/web"; }

# After each round the next one must work: a pod comes, is reached, publishes, and goes.
whole() {
	local p
	for p in "$P"/*/; do [ ! -d "$p" ] || rmdir "$p"; done 2>/dev/null
	within 20 none_leaving || { echo "leaving: $(cat "$P/.node/leaving")"; return 1; }
	within 15 only_lo || { echo "left after $1 and kill -9 of $2:"; cat "$P/.node/events"; host_now | diff "$T/host.before" -; return 1; }
	within 10 mkdir "$P/web" || return 1
	reaches web || return 1
	echo 8000:80 >"$P/web/ports" || return 1
	: >"$P/web/ports"
	[ "$(find "$T/state/pods" -name pod.ini | wc -l)" -eq 1 ] || { echo "records: $(find "$T/state/pods" -name '*.ini')"; return 1; }
	rmdir "$P/web"
	within 10 none_leaving
}
only_lo() { [ -z "$(links)" ] && [ -z "$(host nft list tables)" ] && [ -z "$(host ss -Hlntu)" ]; }

rounds() { # WORK
	local victim i
	for victim in net server both pod all; do
		for i in 1 2; do round "$1" $victim || return 1; done
		whole "$1" $victim || return 1
	done
	is '' "$P/.node/leaks"
}

@test "in the middle of mkdir" { rounds mkdir; }
@test "in the middle of writes of network" { rounds network; }
@test "in the middle of writes of ports" { rounds ports; }
@test "in the middle of rmdir" { rounds rmdir; }

@test "keeper, server and podfs-net are killed, the pod is removed by the next mount" {
	mkdir "$P/web" "$P/other"
	echo 8080:80 >"$P/web/ports"
	echo 10M >"$P/web/net.egress"
	kill -9 "$(keeper_pid)" "$(server_pid)" "$(net_pid)"
	within 10 dead
	mount_podfs 2>/dev/null
	rmdir "$P/web" "$P/other"
	within 10 none_leaving
	within 10 only_lo
}
dead() { stat "$P" 2>&1 | grep -q 'not connected'; }

@test "everything is killed and nothing mounts again: the next instance finds a bridge of nobody" {
	mkdir "$P/web"
	echo 8080:80 >"$P/web/ports"
	kill -9 "$(keeper_pid)" "$(server_pid)" "$(net_pid)" $(pgrep -f "podfs-pod .*$T/")
	within 10 dead
	rm -rf "$T/state/pods" "$T"/run/*-*.sock
	mount_podfs 2>/dev/null
	within 15 only_lo
	mkdir "$P/new"
	echo 8080:80 >"$P/new/ports"
	reaches new
}

@test "a mkdir that was answered before it was done, as podfs-net was stopped, is taken back" {
	mkdir "$P/first"
	local pid
	pid=$(net_pid)
	kill -STOP "$pid"
	fails 'timed out' mkdir "$P/late"
	tail -n 1 "$P/.node/error" | grep -q 'taken back'
	[ "$(ls "$P")" = first ]
	kill -CONT "$pid"
	within 10 has 'late removed' "$P/.node/events"
	[ "$(ls "$P")" = first ]
	within 10 none_leaving
	mkdir "$P/late"
	is Pending "$P/late/status"
}
