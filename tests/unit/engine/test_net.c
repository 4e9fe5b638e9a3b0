/* What a pod's network goes through: leases, sandboxes, restarts of either side. */
#include "tests/unit/engine/net_rig.h"

/* --- mkdir --- */

static void a_sandbox_waits_for_its_network(void **state)
{
	struct pod *p = rig_pod("web", NET_BRIDGE);
	assert_int_equal(strs_add(&p->spec->ports, "8080:80/tcp", 11), 0);
	p->spec->rate_in = 1000000;
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	struct wire_in *in = rig_net(N_ATTACH);
	assert_string_equal(rig_text(in, K_UID), p->spec->uid);
	assert_string_equal(rig_text(in, K_POD), "web");
	assert_string_equal(rig_text(in, K_PORT), "8080:80/tcp");
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_HOST, 0), 2);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_RATE_IN, 0), 1000000);
	assert_int_equal(rig_count(in, K_RATE_OUT), 0);
	rig_nothing(rig_podfs_pod(p));
	rig_net_answer(in, .addr = A4, .addr6 = A6, .dns = "10.9.0.1", .netns = true);
	in = rig_pod_asked(p, W_SANDBOX);
	assert_int_equal(in->nfds, 1);
	assert_true(rig_record_has(in, "host = 2\n"));
	assert_true(rig_record_has(in, "ip = " A4 " " A6));
	assert_non_null(strstr(rig_text(in, K_HOSTS), "10.9.0.2\tweb\nfd00::2\tweb\n"));
	assert_memory_equal(rig_text(in, K_RESOLV), "nameserver 10.9.0.1\n", 20);
	assert_int_equal(rig.done, 0);
	rig_pod_answer(p, in, 0);
	assert_int_equal(rig.done, 1);
	assert_int_equal(rig.result, 0);
	assert_true(p->net.up);
}

static void a_network_that_cannot_be_had_is_told(void **state)
{
	struct pod *p = rig_pod("web", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_ATTACH), .result = -EADDRNOTAVAIL, .words = "the host uses 10.9.0.0/24");
	assert_int_equal(rig.result, -EADDRNOTAVAIL);
	assert_string_equal(rig.err.text, "the host uses 10.9.0.0/24");
	rig_nothing(rig_podfs_pod(p));
	net_forget(p); /* as of any pod that goes */
	rig_net(N_DETACH);
}

static void a_kernel_without_bridges_gives_lo(void **state)
{
	struct pod *p = rig_pod("web", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_ATTACH), .result = -EOPNOTSUPP, .words = "this kernel has no bridges");
	struct wire_in *in = rig_pod_asked(p, W_SANDBOX);
	assert_int_equal(in->nfds, 0);
	rig_pod_answer(p, in, 0);
	assert_int_equal(rig.result, 0);
	assert_false(p->net.up);
	assert_string_equal(p->net.why, "this kernel has no bridges");
	assert_non_null(strstr(rig.events, "this kernel has no bridges"));
	assert_int_equal(net_may_start(p, &rig.err), 0);
}

static void none_and_host_ask_nobody(void **state)
{
	struct pod *p = rig_pod("none", NET_NONE), *q = rig_pod("host", NET_HOST);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	assert_int_equal(sandbox_make(q, rig_done, NULL, &rig.err), 0);
	struct wire_in *in = rig_pod_asked(p, W_SANDBOX);
	assert_int_equal(in->nfds, 0);
	rig_pod_answer(p, in, 0);
	in = rig_pod_asked(q, W_SANDBOX);
	assert_int_equal(in->nfds, 1);
	rig_pod_answer(q, in, 0);
	assert_int_equal(rig.done, 2);
	assert_int_equal(q->net.netns, -1);
	assert_int_equal(rig.spawned, 0);
}

static void a_podfs_pod_that_died_meanwhile_fails_it(void **state)
{
	struct pod *p = rig_pod("web", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	struct wire_in *in = rig_net(N_ATTACH);
	link_drop(p);
	rig_net_answer(in, .addr = A4, .netns = true);
	assert_int_equal(rig.result, -ENODEV);
}

static void a_pod_that_goes_meanwhile_is_detached(void **state)
{
	struct pod *p = rig_pod("web", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	struct wire_in in = *rig_net(N_ATTACH);
	rig_free(p);
	assert_int_equal(rig.result, -ENODEV);
	rig_net(N_DETACH);
	rig_net_answer(&in, .addr = A4, .netns = true);
	assert_int_equal(rig.done, 1);
}

/* --- leases --- */

static void numbers_are_given_in_turn(void **state)
{
	uint64_t a, b, c;
	struct pod *p = rig_made("a", &a);
	rig_made("b", &b);
	rig_free(p);
	rig_made("c", &c);
	assert_int_equal(a, 2);
	assert_int_equal(b, 3);
	assert_int_equal(c, 4);
}

/* The next number that is tried, and whether the subnet has it. */
static void expect_host(uint64_t want, uint64_t last)
{
	struct wire_in *in = rig_net(N_ATTACH);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_HOST, 0), want);
	if (want > last)
		rig_net_answer(in, .result = -ERANGE, .words = "none of the subnet's");
	else
		rig_net_answer(in, .addr = A4, .netns = true);
}

static void a_small_subnet_is_used_up(void **state)
{
	struct pod *p[6] = { 0 };
	char name[] = "p0";
	for (int i = 0; i < 5; i++, name[1]++) {
		p[i] = rig_made(name, NULL);
	}
	rig_free(p[2]);
	p[2] = rig_pod("six", NET_BRIDGE);
	assert_int_equal(sandbox_make(p[2], rig_done, NULL, &rig.err), 0);
	expect_host(7, 6); /* a /29 */
	expect_host(4, 6);
	rig_pod_answer(p[2], rig_pod_asked(p[2], W_SANDBOX), 0);
	p[5] = rig_pod("seven", NET_BRIDGE);
	assert_int_equal(sandbox_make(p[5], rig_done, NULL, &rig.err), -ENOSPC);
	assert_non_null(strstr(rig.err.text, "no address left (5 are in use"));
}

static void a_subnet_that_is_full_is_found_out_late(void **state)
{
	struct pod *p = rig_made("a", NULL);
	rig.done = 0;
	p->spec->host = 2;
	p = rig_pod("b", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	expect_host(3, 2);
	assert_int_equal(rig.done, 1);
	assert_int_equal(rig.result, -ENOSPC);
}

static void an_address_that_is_somebodys_is_passed_over(void **state)
{
	struct pod *p = rig_pod("a", NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_ATTACH), .result = -EADDRINUSE, .words = "pod x's");
	expect_host(3, 100);
	assert_true(rig_record_has(rig_pod_asked(p, W_SANDBOX), "host = 3\n"));
}

/* --- restarts --- */

static void podfs_net_is_told_again(void **state)
{
	struct pod *p = rig_made("web", NULL);
	struct pod *q = rig_pod("creating", NET_BRIDGE);
	assert_int_equal(sandbox_make(q, rig_done, NULL, &rig.err), 0);
	rig_net(N_ATTACH);
	rig_net_ends();
	struct wire_in *in = rig_net(N_ATTACH);
	assert_string_equal(rig_text(in, K_UID), p->spec->uid);
	assert_int_equal(in->nfds, 1);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_HOST, 0), 2);
	rig_net_answer(in, .addr = A4, .addr6 = A6, .dns = "10.9.0.1");
	assert_int_equal(rig_count(rig_net(N_SYNC), K_UID), 2);
	in = rig_net(N_ATTACH);
	assert_string_equal(rig_text(in, K_UID), q->spec->uid);
	assert_int_equal(in->nfds, 0);
	rig_nothing(rig_podfs_pod(p));
}

/* As the next server finds it. */
static struct pod *living(const char *name, enum net_mode mode)
{
	struct pod *p = rig_pod(name, mode);
	p->spec->host = 7;
	p->spec->resolv_made = strdup("nameserver 10.9.0.1\n");
	assert_int_equal(strs_add(&p->spec->ip, A4, strlen(A4)), 0);
	rig_connect(p);
	return p;
}

static void a_new_server_finds_the_pods(void **state)
{
	struct pod *p = living("web", NET_BRIDGE), *q = living("stopped", NET_BRIDGE);
	net_resume(p);
	net_resume(q);
	net_begin_soon(&rig.en);
	rig_pod_answer(p, rig_pod_asked(p, W_NETNS), .netns = true);
	struct wire_in *in = rig_net(N_ATTACH);
	assert_int_equal(in->nfds, 1);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_HOST, 0), 7);
	assert_string_equal(p->spec->ip.v[0], A4); /* before podfs-net has said so */
	rig_nothing(rig.net); /* q has not answered */
	rig_net_answer(in, .addr = A4, .dns = "10.9.0.1");
	assert_true(p->net.up);
	in = rig_net(N_SYNC); /* but is not waited for for long */
	assert_int_equal(rig_count(in, K_UID), 2);
}

static void a_start_right_after_finds_the_network_there(void **state)
{
	struct pod *p = living("web", NET_CNI);
	struct container *c = rig_container(p);
	strs_free(&p->spec->ip); /* a network without addresses */
	net_resume(p);
	net_begin_soon(&rig.en);
	struct wire_in netns = *rig_pod_asked(p, W_NETNS);
	assert_int_equal(container_go(c, true, rig_done, NULL, &rig.err), 0);
	rig_pod_answer(p, rig_pod_asked(p, W_START), 0);
	rig_pod_answer(p, &netns, .netns = true);
	assert_int_equal(rig_net(N_CNI_ADD)->nfds, 1); /* where it is */
	rig_net(N_SYNC);
}

static void other_addresses_than_before_are_noted(void **state)
{
	struct pod *p = living("web", NET_BRIDGE);
	net_resume(p);
	net_begin_soon(&rig.en);
	rig_pod_answer(p, rig_pod_asked(p, W_NETNS), .netns = true);
	rig_net_answer(rig_net(N_ATTACH), .addr = "10.200.0.7/24", .dns = "10.200.0.1");
	struct wire_in *in = rig_pod_asked(p, W_ETC);
	assert_true(rig_record_has(in, "ip = 10.200.0.7/24"));
	assert_non_null(strstr(rig_text(in, K_HOSTS), "10.200.0.7\tweb\n"));
	assert_non_null(strstr(rig_text(in, K_RESOLV), "nameserver 10.200.0.1\n"));
	rig_pod_answer(p, in, 0);
	assert_non_null(strstr(rig.events, "its addresses have changed: now 10.200.0.7/24"));
	rig_net(N_SYNC);
}

static void a_lost_pod_is_made_anew_with_its_number(void **state)
{
	struct pod *p = rig_made("web", NULL);
	link_drop(p);
	net_forget(p);
	rig_net(N_DETACH);
	rig.done = 0;
	assert_int_equal(sandbox_revive(p, rig_done, NULL, &rig.err), 0);
	assert_int_equal(sandbox_revive(p, rig_done, NULL, &rig.err), 0); /* joins the first */
	assert_int_equal(rig_set(p, "labels", "a=b", true), 0);          /* waits */
	struct wire_in *in = rig_net(N_ATTACH);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_HOST, 0), 2);
	assert_int_equal(in->nfds, 0);
	rig_net_answer(in, .addr = A4, .addr6 = A6, .netns = true);
	rig_pod_answer(p, rig_pod_asked(p, W_SANDBOX), 0);
	assert_int_equal(rig.done, 2);
	rig_pod_answer(p, rig_pod_asked(p, W_RECORD), 0);
	assert_int_equal(rig.done, 3);
}

static void a_lost_pod_without_network_stays_lost(void **state)
{
	struct pod *p = rig_made("web", NULL);
	link_drop(p);
	net_forget(p);
	rig_net(N_DETACH);
	rig.done = 0;
	assert_int_equal(sandbox_revive(p, rig_done, NULL, &rig.err), 0);
	rig_net_answer(rig_net(N_ATTACH), .result = -ENOMEM, .words = "no memory");
	assert_int_equal(rig.result, -ENOMEM);
	assert_string_equal(p->lost, "no memory");
	assert_int_equal(p->pid, 0);
}

/* --- what podfs-net tells --- */

static void tell(enum net_op op, const char *uid, const char *text)
{
	struct wire_out o = { 0 };
	net_begin(&o, op);
	net_str(&o, K_UID, uid);
	wire_str(&o, K_TEXT, text);
	assert_int_equal(wire_send(rig.net, &o), 0);
	wire_free(&o);
	rig_rounds();
}

static void leaks_come_and_go(void **state)
{
	struct pod *p = rig_made("web", NULL);
	const char *text = "";
	tell(N_LEAK, p->spec->uid, "link pf0: busy");
	tell(N_LEAK, p->spec->uid, "link pf0: busy"); /* a podfs-net that was started anew */
	ring_at(&rig.en.leaks, 0, &text);
	assert_int_equal(rig.en.leaks.len, strlen("network of ") + 36 + strlen(": link pf0: busy\n"));
	assert_non_null(memmem(text, rig.en.leaks.len, p->spec->uid, 36));
	tell(N_FREED, p->spec->uid, "link pf0");
	assert_int_equal(rig.en.leaks.len, 0);
	tell(N_EVENT, p->spec->uid, "repaired");
	assert_non_null(strstr(rig.events, "network: repaired"));
	tell(N_INFO, NULL, "bridge podfs0\n");
	assert_string_equal(rig.en.net_info, "bridge podfs0\n");
}

/* --- resolv.conf --- */

static void resolv_is_the_hosts_with_our_servers(void **state)
{
	static const char host[] = "# by hand\nsearch example.org\nnameserver 127.0.0.53\nnameserver 10.0.0.1\noptions ndots:2\n";
	char *servers[] = { (char *)"10.9.0.1", (char *)"fd00::1" };
	const struct strs none = { 0 }, dns = { servers, 2 };
	const struct {
		const struct strs *dns;
		bool own;
		const char *want;
	} t[] = {
		{ &dns, true, "nameserver 10.9.0.1\nnameserver fd00::1\n# by hand\nsearch example.org\noptions ndots:2\n" },
		{ &none, true, "# by hand\nsearch example.org\nnameserver 10.0.0.1\noptions ndots:2\n" },
		{ &none, false, host },
	};
	EACH(t, i) {
		struct buf out = { 0 };
		net_resolv_of(host, t[i].dns, t[i].own, &out);
		assert_string_equal(buf_str(&out), t[i].want);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_sandbox_waits_for_its_network),
		RIG_TEST(a_network_that_cannot_be_had_is_told),
		RIG_TEST(a_kernel_without_bridges_gives_lo),
		RIG_TEST(none_and_host_ask_nobody),
		RIG_TEST(a_podfs_pod_that_died_meanwhile_fails_it),
		RIG_TEST(a_pod_that_goes_meanwhile_is_detached),
		RIG_TEST(numbers_are_given_in_turn),
		RIG_TEST(a_small_subnet_is_used_up),
		RIG_TEST(a_subnet_that_is_full_is_found_out_late),
		RIG_TEST(an_address_that_is_somebodys_is_passed_over),
		RIG_TEST(podfs_net_is_told_again),
		RIG_TEST(a_new_server_finds_the_pods),
		RIG_TEST(a_start_right_after_finds_the_network_there),
		RIG_TEST(other_addresses_than_before_are_noted),
		RIG_TEST(a_lost_pod_is_made_anew_with_its_number),
		RIG_TEST(a_lost_pod_without_network_stays_lost),
		RIG_TEST(leaks_come_and_go),
		cmocka_unit_test(resolv_is_the_hosts_with_our_servers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
