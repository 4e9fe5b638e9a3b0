# Names: pods find each other, hosts and resolv.conf are files of the pod.

load lib
load net

# finds POD NAME ADDRESS: a container asks as its resolv.conf says
finds() { in_container "$1" "nslookup $2" 2>/dev/null | grep -qx "Address: $3"; }
etc() { in_container "$1" "cat /etc/$2"; }

@test "every pod finds every other by its name, the host too" {
	run_pod a "$forever"
	run_pod b "$forever"
	within 10 finds a b "$(ip4 b)"
	finds a b "$(ip6 b)"
	finds b a "$(ip6 a)"
	finds a a "$(ip4 a)"
	[ "$(in_container a 'ping -c 1 -W 5 b >/dev/null && echo yes')" = yes ]
	host busybox nslookup b "$(gateway4 a)" | grep -qx "Address: $(ip4 b)"
	host busybox nslookup b "$(gateway6 a)" | grep -qx "Address: $(ip6 b)"
	in_container a "nslookup $(ip4 b)" | grep -q 'name = b$'
	run ! finds a nobody .
	# by name, not by hostname
	echo other >"$P/b/hostname"
	finds a b "$(ip4 b)"
}

@test "a name that is gone is gone; its next pod has it, also while the first still leaves" {
	run_pod probe "$forever"
	run_pod web 'sh -c "trap : TERM; echo up; while :; do sleep 1000; done"'
	within 10 grep -qx up "$P/web/logs/web"
	within 10 finds probe web "$(ip4 web)"
	echo 20 >"$P/web/grace"
	local pid first
	pid=$(cat "$P/web/containers/web/pid") first=$(ip4 web)
	rmdir "$P/web"
	within 5 not finds probe web "$first"
	mkdir "$P/web"
	[ "$(ip4 web)" != "$first" ]
	within 5 finds probe web "$(ip4 web)"
	kill -9 "$pid"
	within 10 none_leaving
	finds probe web "$(ip4 web)"
	rmdir "$P/web"
	within 5 not finds probe web .
	within 10 none_leaving
}

@test "hosts: the pod's own lines; they follow its hostname" {
	run_pod web "$forever"
	etc web hosts | cmp - "$P/web/hosts"
	has '^127\.0\.0\.1[[:space:]]+localhost' "$P/web/hosts"
	has '^::1[[:space:]].*localhost' "$P/web/hosts"
	has "^$(ip4 web)[[:space:]]+web$" "$P/web/hosts"
	has "^$(ip6 web)[[:space:]]+web$" "$P/web/hosts"
	echo other >"$P/web/hostname"
	has "^$(ip4 web)[[:space:]]+other$" "$P/web/hosts"
	run ! grep -q '[[:space:]]web$' "$P/web/hosts"
	etc web hosts | cmp - "$P/web/hosts"
	# nothing of the host is written through it
	in_container web 'echo x >>/etc/hosts' 2>/dev/null || true
	run ! grep -qx x /etc/hosts
}

@test "hosts: >> adds and > replaces, seen at once by what runs" {
	web web
	run_pod probe "$forever"
	echo "$(ip4 web) shop shop.example" >>"$P/probe/hosts"
	etc probe hosts | cmp - "$P/probe/hosts"
	has '^127\.0\.0\.1[[:space:]]+localhost' "$P/probe/hosts"
	[ "$(in_container probe 'wget -qO- http://shop.example/')" = 'page of web' ]
	printf '10.1.2.3 one # a remark\n10.1.2.4 two\n' >>"$P/probe/hosts"
	[ "$(etc probe hosts | tail -n 2)" = $'10.1.2.3 one # a remark\n10.1.2.4 two' ]
	# what was read can be written
	cat "$P/probe/hosts" >"$T/hosts"
	cat "$T/hosts" >"$P/probe/hosts"
	cmp "$T/hosts" "$P/probe/hosts"
	# the aliases stay, and the pod's own lines still follow
	echo other >"$P/probe/hostname"
	has "^$(ip4 probe)[[:space:]]+other$" "$P/probe/hosts"
	has '^10.1.2.4 two$' "$P/probe/hosts"
	echo restart >"$P/probe/ctl"
	within 10 shop_is_there
	unmount_podfs
	mount_podfs
	etc probe hosts | cmp - "$P/probe/hosts"
	has '^10.1.2.4 two$' "$P/probe/hosts"
	has "^$(ip4 probe)[[:space:]]+other$" "$P/probe/hosts"
	printf '127.0.0.1 localhost\n10.9.9.9 only\n' >"$P/probe/hosts"
	is $'127.0.0.1 localhost\n10.9.9.9 only' "$P/probe/hosts"
	[ "$(etc probe hosts)" = $'127.0.0.1 localhost\n10.9.9.9 only' ]
	: >"$P/probe/hosts"
	has "^$(ip4 probe)[[:space:]]+other$" "$P/probe/hosts"
	run ! grep -q only "$P/probe/hosts"
	etc probe hosts | cmp - "$P/probe/hosts"
}
shop_is_there() { etc probe hosts 2>/dev/null | grep -q 'shop.example'; }

@test "hosts: lines that are none" {
	run_pod web "$forever"
	cat "$P/web/hosts" >"$T/hosts"
	for line in 'nonsense' '10.1.2.3' '10.1.2 name' '10.1.2.3 bad/name' '10.1.2.3 -name' $'10.1.2.3 a\001b'; do
		refused 'nvalid argument' "$P/web/hosts" "$line"
		said hosts "$P/web/error"
		fails 'nvalid argument' bash -c 'printf "10.1.1.1 fine\n%s\n" "$1" >>"$2"' _ "$line" "$P/web/hosts"
	done
	head -c 70000 /dev/zero | tr '\0' '#' >"$T/long"
	fails 'too long' dd if="$T/long" of="$P/web/hosts" bs=70000
	etc web hosts | cmp - "$P/web/hosts"
}

@test "resolv.conf: the pods' names and the host's search; written, live, kept, refused" {
	run_pod web "$forever"
	etc web resolv.conf | cmp - "$P/web/resolv.conf"
	has "^nameserver $(gateway4 web)$" "$P/web/resolv.conf"
	cat "$P/web/resolv.conf" >"$T/made"
	echo 'options timeout:1' >>"$P/web/resolv.conf"
	[ "$(etc web resolv.conf | tail -n 1)" = 'options timeout:1' ]
	[ "$(wc -l <"$P/web/resolv.conf")" -eq $(($(wc -l <"$T/made") + 1)) ]
	printf 'nameserver 192.0.2.53\nsearch example.org\n' >"$P/web/resolv.conf"
	[ "$(etc web resolv.conf)" = $'nameserver 192.0.2.53\nsearch example.org' ]
	for line in 'nameserver' 'nameserver x' 'server 1.2.3.4' 'search'; do
		refused 'nvalid argument' "$P/web/resolv.conf" "$line"
		said 'resolv.conf' "$P/web/error"
	done
	is $'nameserver 192.0.2.53\nsearch example.org' "$P/web/resolv.conf"
	unmount_podfs
	mount_podfs
	echo restart >"$P/web/ctl"
	within 10 resolv_is 'nameserver 192.0.2.53'
	is $'nameserver 192.0.2.53\nsearch example.org' "$P/web/resolv.conf"
	: >"$P/web/resolv.conf"
	etc web resolv.conf | cmp - "$T/made"
	run ! grep -q 192.0.2.53 /etc/resolv.conf
}
resolv_is() { etc web resolv.conf 2>/dev/null | head -n 1 | grep -qx "$1"; }

@test "another user reads hosts and ports, and writes neither" {
	chmod 755 "$T"
	mkdir "$P/web"
	local f
	for f in hosts resolv.conf ports network net.ingress net.egress net.stat ip; do
		as_nobody cat "$P/web/$f" >/dev/null
		fails 'denied' as_nobody bash -c "echo 8080:80 >>'$P/web/$f'"
	done
}
