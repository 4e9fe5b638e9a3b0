/* CNI with Debian's plugins: bridge, host-local, portmap and firewall, which leave nothing behind. */
#include "tests/unit/net/cni_rig.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>

/* firewall knows nothing older than 0.4.0. */
static void put_real_net(const char *version)
{
	char text[2048];
	snprintf(text, sizeof text,
		 "{\"name\":\"real\",\"cniVersion\":\"%s\",\"plugins\":["
		 "{\"type\":\"bridge\",\"bridge\":\"cnitest0\",\"isGateway\":true,\"ipMasq\":true,\"hairpinMode\":true,"
		 "\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"%s/leases\",\"routes\":[{\"dst\":\"0.0.0.0/0\"}],"
		 "\"ranges\":[[{\"subnet\":\"10.97.0.0/24\"}],[{\"subnet\":\"fd97::/64\"}]]}},"
		 "{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}%s]}",
		 version, dir, strcmp(version, "0.3.1") ? ",{\"type\":\"firewall\"}" : "");
	put_file(conf, "10-real.conflist", 0644, text);
}

struct peer {
	int netns; /* of the test program */
	const char *to;
};

static int serve_once(void *arg)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getppid(), ((struct peer *)arg)->netns);
	NEED(!setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNET));
	int l = rig_listen(SOCK_STREAM, "0.0.0.0", 80);
	NEED(l >= 0);
	rig_ready();
	int c = accept(l, NULL, NULL);
	NEED(c >= 0 && write(c, "pod", 3) == 3);
	return 0;
}

static int ask_published(void *arg)
{
	char b[8] = "";
	int fd = rig_connect(SOCK_STREAM, ((struct peer *)arg)->to, 8080);
	NEED(fd >= 0 && read(fd, b, sizeof b) == 3 && !strcmp(b, "pod"));
	return 0;
}

static bool reaches_pod(int netns)
{
	struct peer p = { netns, "10.97.0.1" };
	pid_t pod = rig_start(ON_HOST, serve_once, &p);
	bool ok = rig_run(ON_HOST, ask_published, &p) == 0;
	rig_end(pod);
	return ok;
}

/* Links, firewall rules and leases, without what counts up. */
static void snapshot(const char *file)
{
	assert_int_equal(sh("cd %s && { ip -o link | cut -d: -f2; iptables-save; ip6tables-save; ls leases/*; } 2>/dev/null | "
			    "grep -v '^#' | sed 's/\\[[0-9:]*\\]//' >%s", dir, file), 0);
}

static void real_chain(const char *version)
{
	struct port p;
	int netns = new_netns();
	put_real_net(version);
	assert_int_equal(parse_port("8080:80", 7, &p, NULL), 0);
	/* The first one leaves the bridge and empty chains, which belong to the plugins. */
	assert_int_equal(add_ports(DB, "real", netns, &p, 1), 0);
	assert_int_equal(del(DB, -1), 0);
	snapshot("before");
	uint64_t from = now_mono_ns();
	said(add_ports(WEB, "real", netns, &p, 1), 0, "");
	uint64_t added = now_mono_ns();
	if (!strstr(out.addrs, "10.97.0.") || !strstr(out.addrs, " fd97::"))
		fail_msg("%s", out.addrs);
	assert_true(has_record(WEB));
	assert_int_equal(in_netns(netns, "ip -4 addr show eth0 | grep -q 10.97.0."), 0);
	assert_true(reaches_pod(netns));
	uint64_t deleting = now_mono_ns();
	said(del(WEB, -1), 0, "");
	print_message("%s: ADD %.0f ms, DEL %.0f ms\n", version, (double)(added - from) / 1e6, (double)(now_mono_ns() - deleting) / 1e6);
	assert_false(has_record(WEB));
	assert_false(chain_any(cni));
	snapshot("after");
	assert_int_equal(sh("cd %s && diff before after", dir), 0);
	assert_int_equal(in_netns(netns, "ip link show eth0 >/dev/null 2>&1"), 1);
	assert_int_equal(leaks, 0);
	close(netns);
}

static void bridge_portmap_firewall(void **state)
{
	real_chain("1.0.0");
	real_chain("0.4.0");
	real_chain("0.3.1");
}

static void check_finds_what_is_gone(void **state)
{
	static const char *const versions[] = { "1.0.0", "0.4.0" };
	int netns = new_netns();
	EACH(versions, i) {
		put_real_net(versions[i]);
		assert_int_equal(add(WEB, "real", netns), 0);
		said(check(WEB, -1), 0, "");
		assert_int_equal(in_netns(netns, "ip link set eth0 address 02:00:00:00:00:01"), 0);
		said(check(WEB, -1), -EIO, "CNI plugin bridge (CHECK of network real)");
		assert_int_equal(del(WEB, -1), 0);
	}
	put_real_net("0.3.1");
	assert_int_equal(add(WEB, "real", netns), 0);
	said(check(WEB, -1), -EOPNOTSUPP, "0.3.1, which has no CHECK");
	assert_int_equal(del(WEB, -1), 0);
	close(netns);
}

/* podfs-net was killed while a pod was attached: the next one finds it, and leaves nothing. */
static void after_a_crash(void **state)
{
	int netns = new_netns();
	put_real_net("1.0.0");
	assert_int_equal(add(DB, "real", netns), 0);
	assert_int_equal(del(DB, -1), 0);
	snapshot("before");
	assert_int_equal(add(WEB, "real", netns), 0);
	char addrs[512];
	strcpy(addrs, out.addrs);
	cni_close(&cni);
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	assert_int_equal(add(WEB, "real", netns), 0); /* nothing is run for it */
	assert_string_equal(out.addrs, addrs);
	said(check(WEB, netns), 0, "");
	cni_close(&cni);
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	assert_int_equal(sh("rm %s/10-real.conflist", conf), 0);
	said(del(WEB, netns), 0, "");
	snapshot("after");
	assert_int_equal(sh("cd %s && diff before after", dir), 0);
	close(netns);
}

/* The sandbox was made anew: the old attachment goes, the new one comes. */
static void another_namespace(void **state)
{
	int one = new_netns(), two = new_netns();
	put_real_net("1.0.0");
	assert_int_equal(add(WEB, "real", one), 0);
	assert_int_equal(add(WEB, "real", two), 0);
	assert_int_equal(in_netns(one, "ip link show eth0 >/dev/null 2>&1"), 1);
	assert_int_equal(in_netns(two, "ip link show eth0 >/dev/null"), 0);
	assert_int_equal(sh("test $(ls %s/leases/real | grep -c '^10') = 1", dir), 0);
	assert_int_equal(del(WEB, -1), 0);
	close(one);
	close(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bridge_portmap_firewall),
		TEST(check_finds_what_is_gone),
		TEST(after_a_crash),
		TEST(another_namespace),
	};
	return cmocka_run_group_tests(tests, rig_enter, rig_leave);
}
