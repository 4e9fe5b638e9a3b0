# Peers on the pods' network. Loaded after lib.bash.
#
# FROM is who asks: `host`, `outside`, or a pod. What asks from a pod is a program of this machine in the pod's network; where the
# container itself is to ask, a case says in_container.

ip4() { sed -n 1p "$P/$1/ip"; }
ip6() { sed -n 2p "$P/$1/ip"; }
# Ours at the uplink; in an address of a URL.
HOST4=192.0.2.1 HOST6=2001:db8::1

from() { # FROM COMMAND…
	case $1 in
	host | outside) "$@" ;;
	*) inside "$@" ;;
	esac
}
as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
not() { ! "$@" >/dev/null 2>&1; }
url() { case $1 in *:*) echo "http://[$1]:$2/" ;; *) echo "http://$1:$2/" ;; esac; } # ADDRESS PORT

# web POD [NETWORK]: a container of it says at port 80 whose it is, over IPv4 and IPv6.
web() {
	[ -e "$P/.node/images/busybox" ] || import busybox
	mkdir "$P/$1"
	[ $# -lt 2 ] || echo "$2" >"$P/$1/network"
	echo 0 >"$P/$1/grace"
	serves "$1"
	echo busybox >"$P/$1/image"
	within 10 page "$1" 127.0.0.1 80 "$1"
}
serves() { echo "sh -c 'echo page of $1 >/tmp/index.html; exec httpd -f -p 80 -h /tmp'" >"$P/$1/command"; }
# page FROM ADDRESS PORT POD: what FROM finds there is that pod's
page() {
	local got
	got=$(from "$1" curl -sgm 5 "$(url "$2" "$3")") && [ "$got" = "page of $4" ] || { echo "$1: $(url "$2" "$3") gives '$got', not $4"; return 1; }
}
# pages FROM PORT POD ADDRESS…: at each of them
pages() {
	local from=$1 port=$2 pod=$3 a
	shift 3
	for a; do page "$from" "$a" "$port" "$pod" || return 1; done
}
# closed FROM PORT ADDRESS…: nobody answers
closed() {
	local from=$1 port=$2 a
	shift 2
	for a; do not from "$from" curl -sgm 1 "$(url "$a" "$port")" || { echo "$from: $(url "$a" "$port") answers"; return 1; }; done
}

# echo_at WHO PORT: gives back what comes, over TCP and UDP, IPv4 and IPv6
echo_at() {
	local proto
	for proto in TCP4-LISTEN TCP6-LISTEN UDP4-RECVFROM UDP6-RECVFROM; do
		case $proto in
		*6*) peer "$1" socat "$proto:$2,fork,reuseaddr,ipv6only=1" EXEC:cat ;;
		*) peer "$1" socat "$proto:$2,fork,reuseaddr" EXEC:cat ;;
		esac
	done
	within 10 listens "$1" "$2" 4
}
# seer WHO PORT: tells who asks what his address is, over TCP
seer() {
	# shellcheck disable=SC2016 # socat's shell expands
	peer "$1" socat "TCP4-LISTEN:$2,fork,reuseaddr" 'SYSTEM:read x; echo $SOCAT_PEERADDR'
	# shellcheck disable=SC2016
	peer "$1" socat "TCP6-LISTEN:$2,fork,reuseaddr,ipv6only=1" 'SYSTEM:read x; echo $SOCAT_PEERADDR'
	within 10 listens "$1" "$2" 2
}
listens() { [ "$(from "$1" ss -Hlntu "sport = $2" | wc -l)" -ge "${3:-1}" ]; } # WHO PORT [SOCKETS]
# asks FROM TCP|UDP ADDRESS PORT [TEXT]: what comes back
asks() {
	# shellcheck disable=SC2016 # the inner shell expands
	from "$1" timeout 3 bash -c 'exec 9<>"/dev/$0/$1/$2" && echo "$3" >&9 && head -n 1 <&9 | tr -d "[]"' "${2,,}" "$3" "$4" "${5:-hello}" 2>/dev/null
}
# seen FROM ADDRESS PORT: whom the seer there saw
seen() { asks "$1" TCP "$2" "$3" | /usr/bin/python3 -c 'import ipaddress; print(ipaddress.ip_address(input()))'; }
echoes() { # FROM PORT ADDRESS…: over both
	local from=$1 port=$2 a proto got
	shift 2
	for a; do
		for proto in TCP UDP; do
			got=$(asks "$from" $proto "$a" "$port" "to $a") || :
			[ "$got" = "to $a" ] || { echo "$from: $proto $a port $port gives '$got'"; return 1; }
		done
	done
}

gateway4() { inside "$1" ip -4 route show default | sed 's/.* via \([^ ]*\).*/\1/'; }
gateway6() { inside "$1" ip -6 route show default | sed 's/.* via \([^ ]*\).*/\1/'; }
net_pid() { pgrep -f "^[^ ]*podfs-net $T/"; }
net_runs() { [ -n "$(net_pid)" ]; }
links() { host ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | grep -vxE 'lo|up0'; } # of the host, without its own

# reaches POD: the network works, both ways and both families
reaches() {
	local a
	for a in $(cat "$P/$1/ip"); do host ping -qc 1 -W 5 "$a" >/dev/null || { echo "$a does not answer"; return 1; }; done
	for a in "$(gateway4 "$1")" "$(gateway6 "$1")"; do
		inside "$1" ping -qc 1 -W 5 "$a" >/dev/null || { echo "$1 does not reach $a"; return 1; }
	done
}
# said PATTERN FILE: the last line of an error file
said() { tail -n 1 "$2" | grep -qE -- "$1" || { echo "the last line of $2 is:"; tail -n 1 "$2"; return 1; }; }
