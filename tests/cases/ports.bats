# Published ports: who reaches them, who is refused and why, live changes.

load lib
load net

setup() {
	new_instance
	with_outside
	mount_podfs
}

@test "reached from outside, by the host at each of its addresses, by other pods and by the pod itself" {
	web web
	mkdir "$P/other"
	is '' "$P/web/ports"
	echo 8080:80 >"$P/web/ports"
	is 8080:80/tcp "$P/web/ports"
	pages outside 8080 web $HOST4 $HOST6
	pages host 8080 web 127.0.0.1 127.0.0.9 $HOST4 "$(gateway4 web)" ::1 $HOST6 "$(gateway6 web)"
	page host localhost 8080 web
	pages other 8080 web $HOST4 $HOST6 "$(gateway4 web)" "$(gateway6 web)"
	pages web 8080 web $HOST4 $HOST6 "$(gateway4 web)" "$(gateway6 web)"
	# the host of the pod's own lo is the pod
	closed web 8080 127.0.0.1 ::1
	has '8080:80' "$P/web/describe"
	has 'hostPort: 8080' "$P/web/pod.yaml"
}

@test "in the container: its own published port and another pod's, through the host's address" {
	web web
	web other
	echo 8080:80 >"$P/web/ports"
	[ "$(in_container web "wget -qO- http://$HOST4:8080/")" = 'page of web' ]
	[ "$(in_container other "wget -qO- http://$HOST4:8080/")" = 'page of web' ]
	[ "$(in_container other "wget -qO- 'http://[$HOST6]:8080/'")" = 'page of web' ]
}

@test "UDP and TCP of one number; what comes back" {
	# socat with the libraries it needs, over busybox's files
	mkdir "$T/root" "$P/echo"
	busybox_layer | tar -C "$T/root" -xf -
	tar -C / -chf - "$(command -v socat)" $(ldd "$(command -v socat)" | grep -o '/[^ ]*') 2>/dev/null | tar -C "$T/root" -xf -
	mkdir "$P/echo/containers/tcp" "$P/echo/containers/udp"
	echo "$(command -v socat) TCP6-LISTEN:7,ipv6only=0,fork EXEC:cat" >"$P/echo/containers/tcp/command"
	echo "$(command -v socat) UDP6-RECVFROM:7,ipv6only=0,fork EXEC:cat" >"$P/echo/containers/udp/command"
	for c in tcp udp; do echo "dir:$T/root" >"$P/echo/containers/$c/image"; done
	within 10 listens echo 7 2
	mkdir "$P/other"
	printf '5007:7/udp\n5007:7/tcp\n' >"$P/echo/ports"
	echoes outside 5007 $HOST4 $HOST6
	echoes host 5007 127.0.0.1 ::1 $HOST4 $HOST6
	echoes other 5007 $HOST4 $HOST6
	echoes echo 5007 $HOST4 $HOST6
	echoes other 7 "$(ip4 echo)" "$(ip6 echo)"
	# only UDP
	echo 5007:7/udp >"$P/echo/ports"
	[ "$(asks outside UDP $HOST4 5007)" = hello ]
	[ -z "$(asks outside TCP $HOST4 5007)" ]
	[ -z "$(asks host TCP 127.0.0.1 5007)" ]
}

@test "one address, one family" {
	web web
	printf '127.0.0.1:8080:80\n[::1]:8081:80\n%s:8082:80\n[%s]:8083:80/tcp\n0.0.0.0:8084:80\n[::]:8085:80\n' $HOST4 $HOST6 >"$P/web/ports"
	is "127.0.0.1:8080:80/tcp
[::1]:8081:80/tcp
$HOST4:8082:80/tcp
[$HOST6]:8083:80/tcp
0.0.0.0:8084:80/tcp
[::]:8085:80/tcp" "$P/web/ports"
	page host 127.0.0.1 8080 web
	closed host 8080 ::1 $HOST4
	closed outside 8080 $HOST4 $HOST6
	page host ::1 8081 web
	closed host 8081 127.0.0.1 $HOST6
	pages outside 8082 web $HOST4
	closed outside 8082 $HOST6
	page outside $HOST6 8083 web
	closed outside 8083 $HOST4
	page outside $HOST4 8084 web
	closed outside 8084 $HOST6
	page outside $HOST6 8085 web
	closed outside 8085 $HOST4
}

# refused_whole WORDS FILE LINES: in one write, as cat makes it; echo makes one of each line
refused_whole() {
	echo "$3" >"$T/lines"
	fails "$1" dd if="$T/lines" of="$2" bs=64k
}

@test "ports that are added at the same time, and to what holds by then" {
	mkdir "$P/web"
	local i pids=()
	exec 5>>"$P/web/ports" 6>>"$P/web/ports"
	echo 8080:80 >&5
	echo 8081:80 >&6
	fails 'in use' bash -c 'echo 8080:81 >&5'
	echo 8082:80 >&5
	exec 5>&- 6>&-
	is $'8080:80/tcp\n8081:80/tcp\n8082:80/tcp' "$P/web/ports"
	for i in $(seq 10 29); do (echo "90$i:80" >>"$P/web/ports") & pids+=($!); done
	wait_for "${pids[@]}"
	[ "$(wc -l <"$P/web/ports")" -eq 23 ]
	[ "$(host ss -Hlnt | grep -c ':90[12][0-9] ')" -ge 20 ]
}

@test "200 published ports of one pod" {
	web web
	local i
	seq -f '%g:80' 20000 20199 >"$P/web/ports"
	[ "$(wc -l <"$P/web/ports")" -eq 200 ]
	for i in 20000 20099 20199; do
		page outside $HOST4 $i web
		page outside $HOST6 $i web
		page host 127.0.0.1 $i web
	done
	[ "$(published)" -eq 400 ]
	# they outlive the server's restart, and go at once
	unmount_podfs
	mount_podfs
	[ "$(published)" -eq 400 ]
	page outside $HOST4 20111 web
	: >"$P/web/ports"
	within 5 none_published
	closed outside 20000 $HOST4 $HOST6
	is '' "$P/web/ports"
	# a range is as good
	echo 20000-20199:80-279 >"$P/web/ports"
	page outside $HOST6 20000 web
	[ "$(published)" -eq 400 ]
}
none_published() { [ "$(published)" -eq 0 ]; }
published() { host ss -Hlnt 'sport >= 20000 and sport < 20200' | wc -l; }

@test "200 published ports of 20 pods" {
	local i
	for i in $(seq 20); do
		mkdir "$P/p$i"
		seq -f '%g:7' $((19990 + i * 10)) $((19999 + i * 10)) >"$P/p$i/ports"
	done
	[ "$(published)" -eq 400 ]
	for i in 1 7 20; do
		echo_at p$i 7
		[ "$(asks outside TCP $HOST4 $((19990 + i * 10)) "p$i")" = p$i ]
		[ "$(asks outside TCP $HOST6 $((19999 + i * 10)) "p$i")" = p$i ]
		[ "$(asks host TCP 127.0.0.1 $((19995 + i * 10)) "p$i")" = p$i ]
	done
	rmdir "$P/p7"
	[ "$(published)" -eq 380 ]
	[ "$(asks outside TCP $HOST4 19990 p1)" = '' ]
	[ "$(asks outside TCP $HOST4 20000 p1)" = p1 ]
}

@test "a port in use: EADDRINUSE, and error says by whom; all else stays as it was" {
	web web
	mkdir "$P/other"
	echo 8080:80 >"$P/web/ports"
	peer host socat TCP4-LISTEN:9090,fork EXEC:true
	peer host socat UDP6-RECVFROM:9091,ipv6only=1,fork EXEC:true
	within 10 listens host 9090
	within 10 listens host 9091
	refused_whole 'already in use' "$P/web/ports" $'8080:80\n8081:80\n9090:80'
	said "9090 is in use by socat \(pid ${PEERS[-2]}\)" "$P/web/error"
	is 8080:80/tcp "$P/web/ports"
	refused 'already in use' "$P/web/ports" 9091:80/udp
	said "9091 is in use by socat" "$P/web/error"
	refused 'already in use' "$P/other/ports" 8080:81
	said '8080 is in use by the pod web' "$P/other/error"
	is '' "$P/other/ports"
	refused 'already in use' "$P/other/ports" 127.0.0.1:8080:81
	# the same file
	refused_whole 'already in use' "$P/web/ports" $'8081:80\n8081:81'
	said '8081' "$P/web/error"
	refused_whole 'already in use' "$P/web/ports" $'127.0.0.1:8081:80\n8081:81'
	is 8080:80/tcp "$P/web/ports"
	pages outside 8080 web $HOST4 $HOST6
	not listens host 8081
	# another protocol is another port
	echo 9090:80/udp >"$P/other/ports"
	is 9090:80/udp "$P/other/ports"
	# and what a pod holds, no process of the host gets
	run ! host timeout 5 socat TCP4-LISTEN:8080,reuseaddr EXEC:true
	kill "${PEERS[-2]}"
	gone "${PEERS[-2]}"
	echo 9090:80 >>"$P/web/ports"
	pages outside 9090 web $HOST4 $HOST6
}

@test "an address that the host does not have; lines that are none" {
	web web
	echo 8080:80 >"$P/web/ports"
	refused 'assign requested address' "$P/web/ports" 203.0.113.9:8081:80
	said '203.0.113.9' "$P/web/error"
	refused 'assign requested address' "$P/web/ports" '[2001:db8::77]:8081:80'
	for line in 80 8080: :80 0:80 8080:0 65536:80 8080:80:90:100 8080:80/sctp 8080:80/ '8080 80' x:80 1.2.3:80:80 ::1:80:80 8000-8010:80-81 8010-8000:80-90; do
		refused 'nvalid argument' "$P/web/ports" "$line"
		said ports "$P/web/error"
		refused_whole 'nvalid argument' "$P/web/ports" $'8081:80\n'"$line"
	done
	fails 'nvalid argument' bash -c "echo nonsense >>'$P/web/ports'"
	is 8080:80/tcp "$P/web/ports"
	pages outside 8080 web $HOST4 $HOST6
	not listens host 8081
	refused 'too long' "$P/web/ports" 10000-12000:10000-12000
}

@test "> and >>, while traffic flows" {
	web web
	peer web socat -u TCP4-LISTEN:82 "OPEN:$T/got,creat"
	within 10 listens web 82
	printf '8080:80\n8082:82\n' >"$P/web/ports"
	mkfifo "$T/out"
	peer outside sh -c "exec socat -u OPEN:$T/out TCP4:$HOST4:8082"
	exec 8>"$T/out"
	local i
	for i in 1 2 3 4; do
		head -c 200000 /dev/zero >&8
		echo 8081:80 >>"$P/web/ports"
		page outside $HOST4 8081 web
		printf '8080:80\n8082:82\n' >"$P/web/ports"
		closed outside 8081 $HOST4 $HOST6
		page outside $HOST6 8080 web
	done
	exec 8>&-
	within 10 has_got 800000
	# written line by line, as shells do, it is one file
	{ echo 8090:80; echo 8091:80; } >"$P/web/ports"
	is $'8090:80/tcp\n8091:80/tcp' "$P/web/ports"
	closed outside 8080 $HOST4
	cat "$P/web/ports" >"$T/ports"
	cat "$T/ports" >"$P/web/ports"
	cmp "$T/ports" "$P/web/ports"
	page outside $HOST4 8091 web
}
has_got() { [ "$(stat -c %s "$T/got")" -eq "$1" ]; }

@test "rmdir gives the ports back at once, though the grace period runs" {
	run_pod web 'sh -c "trap : TERM; echo page of web >/tmp/index.html; httpd -p 80 -h /tmp; while :; do sleep 1000; done"'
	within 10 page web 127.0.0.1 80 web
	echo 20 >"$P/web/grace"
	echo 8080:80 >"$P/web/ports"
	pages outside 8080 web $HOST4
	web other
	local pid
	pid=$(cat "$P/web/containers/web/pid")
	rmdir "$P/web"
	echo 8080:80 >"$P/other/ports"
	pages outside 8080 other $HOST4 $HOST6
	pages host 8080 other 127.0.0.1
	# the name too
	mkdir "$P/web"
	[ "$(cat "$P"/*/ip | sort | uniq -d)" = '' ]
	grep -q '^web ' "$P/.node/leaving"
	kill -9 "$pid"
	within 10 none_leaving
	pages outside 8080 other $HOST4 $HOST6
	reaches web
}

@test "53:53/udp is published beside the pods' own names" {
	web web
	echo_at web 53
	echo 53:53/udp >"$P/web/ports"
	[ "$(asks outside UDP $HOST4 53)" = hello ]
	in_container web 'nslookup web' | grep -q "$(ip4 web)"
}

@test "ports below ip_unprivileged_port_start are root's" {
	unmount_podfs
	chmod 755 "$T"
	mount_podfs users=nobody
	as_nobody mkdir "$P/mine"
	fails 'ermi' as_nobody bash -c "echo 80:80 >'$P/mine/ports'"
	said '80' "$P/mine/error"
	printf '8080:80\n1023:80/udp\n' >"$T/lines"
	fails 'ermi' as_nobody dd if="$T/lines" of="$P/mine/ports" bs=64k
	fails 'ermi' as_nobody bash -c "echo 1000-1030:1000-1030 >'$P/mine/ports'"
	is '' "$P/mine/ports"
	as_nobody bash -c "echo 1024:80 >'$P/mine/ports'"
	is 1024:80/tcp "$P/mine/ports"
	host sh -c 'echo 80 >/proc/sys/net/ipv4/ip_unprivileged_port_start'
	as_nobody bash -c "echo 80:80 >'$P/mine/ports'"
	fails 'ermi' as_nobody bash -c "echo 79:80 >'$P/mine/ports'"
	is 80:80/tcp "$P/mine/ports"
	echo 79:80 >"$P/mine/ports"
	# what root has published there, a user may take back or leave
	as_nobody bash -c ": >'$P/mine/ports'"
	within 5 is '' "$P/mine/ports"
}
