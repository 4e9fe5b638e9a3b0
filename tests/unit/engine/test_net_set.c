/* Settings of a pod's network: who may, in which order things are done, and what a refusal leaves. */
#include "tests/unit/engine/net_rig.h"

/* --- settings --- */

static void network_to_none_and_back(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig.done = 0;
	assert_int_equal(rig_set(p, "network", "none", false), 0);
	struct wire_in *in = rig_pod_asked(p, W_NET);
	assert_int_equal(in->nfds, 0);
	assert_true(rig_record_has(in, "network = none\n"));
	assert_false(rig_record_has(in, "host = "));
	assert_non_null(strstr(rig_text(in, K_HOSTS), "127.0.0.1\tweb\n"));
	rig_nothing(rig.net); /* the old one is let go when the new one holds */
	rig_pod_answer(p, in, 0);
	assert_int_equal(rig.done, 1);
	rig_net(N_DETACH);
	assert_int_equal(p->spec->ip.n, 0);
	assert_int_equal(p->net.netns, -1);

	assert_int_equal(rig_set(p, "network", "bridge", false), 0);
	in = rig_net(N_ATTACH);
	assert_int_equal(p->spec->net.mode, NET_NONE); /* as long as nothing is there */
	assert_true(p->net.busy);
	rig_net_answer(in, .addr = A4, .netns = true);
	in = rig_pod_asked(p, W_NET);
	assert_int_equal(in->nfds, 1);
	rig_pod_answer(p, in, 0);
	assert_int_equal(rig.done, 2);
	assert_int_equal(p->spec->net.mode, NET_BRIDGE);
	assert_true(p->net.netns >= 0);
	assert_false(p->net.busy);
	rig_nothing(rig.net);
}

static void a_refused_network_changes_nothing(void **state)
{
	struct pod *p = rig_made("web", NULL);
	int netns = p->net.netns;
	rig.done = 0;
	assert_int_equal(rig_set(p, "network", "cni:x", false), 0);
	struct wire_in *in = rig_net(N_CNI_ADD);
	assert_string_equal(rig_text(in, K_CNI), "x");
	rig_net_answer(in, .addr = "10.1.0.9/24", .netns = true);
	rig_pod_answer(p, rig_pod_asked(p, W_NET), .result = -EBUSY, .words = "network: a container has run");
	assert_int_equal(rig.result, -EBUSY);
	assert_string_equal(rig.err.text, "network: a container has run");
	in = rig_net(N_CNI_DEL);
	assert_int_equal(in->nfds, 1);
	assert_int_equal(p->spec->net.mode, NET_BRIDGE);
	assert_string_equal(p->spec->ip.v[0], A4);
	assert_int_equal(p->net.netns, netns);
	assert_int_equal(p->spec->host, 2);
	rig_nothing(rig.net);
}

static void who_may_choose_what(void **state)
{
	struct pod *p = rig_made("web", NULL);
	assert_int_equal(rig_set(p, "network", "host", false), -EPERM);
	assert_int_equal(rig_set(p, "ports", "80:80", false), -EACCES);
	assert_non_null(strstr(rig.err.text, "ports below"));
	rig_nothing(rig.net);
	assert_int_equal(strs_add(&p->spec->ports, "80:80/tcp", 9), 0);
	assert_int_equal(rig_set(p, "ports", "80:80\n8080:80", false), 0); /* root wrote the first */
	rig_net(N_PORTS);
}

static void a_network_is_chosen_before_anything_runs(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig_container(p)->status.state = C_RUNNING;
	assert_int_equal(rig_set(p, "network", "none", true), -EBUSY);
	assert_non_null(strstr(rig.err.text, "container c runs"));
}

static void ports_are_podfs_nets_first(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig.done = 0;
	assert_int_equal(rig_set(p, "ports", "8080:80\n53:53/udp\n", true), 0);
	struct wire_in *in = rig_net(N_PORTS);
	assert_int_equal(rig_count(in, K_PORT), 2);
	assert_int_equal(p->spec->ports.n, 0);
	rig_nothing(rig_podfs_pod(p));
	rig_net_answer(in, .result = -EADDRINUSE, .words = "8080:80/tcp: in use by nginx (pid 7)");
	assert_int_equal(rig.result, -EADDRINUSE);
	assert_string_equal(rig.err.text, "8080:80/tcp: in use by nginx (pid 7)");
	assert_int_equal(p->spec->ports.n, 0);

	assert_int_equal(rig_set(p, "ports", "8080:80\n", true), 0);
	rig_net_answer(rig_net(N_PORTS), 0);
	in = rig_pod_asked(p, W_RECORD);
	assert_true(rig_record_has(in, "8080:80/tcp"));
	rig_pod_answer(p, in, .result = -ENOSPC, .words = "pod.ini: no space");
	assert_int_equal(rig.result, -ENOSPC);
	assert_int_equal(rig_count(rig_net(N_PORTS), K_PORT), 0); /* the old ones again */
	assert_int_equal(p->spec->ports.n, 0);
}

static void rates_are_podfs_nets_first(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig.done = 0;
	assert_int_equal(rig_set(p, "net.egress", "10000000", true), 0);
	struct wire_in *in = rig_net(N_RATE);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_RATE_IN, 1), 0);
	assert_int_equal(wire_get_u64(in, (enum wire_key)K_RATE_OUT, 1), 10000000);
	rig_net_answer(in, 0);
	rig_pod_answer(p, rig_pod_asked(p, W_RECORD), 0);
	assert_int_equal(rig.result, 0);
	assert_int_equal(p->spec->rate_out, 10000000);
}

static void ports_and_networks_come_one_behind_another(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig.done = 0;
	assert_int_equal(rig_set(p, "ports", "8080:80\n", true), 0);
	assert_int_equal(rig_set(p, "ports", "8081:80\n", true), 0);
	struct wire_in *in = rig_net(N_PORTS);
	rig_nothing(rig.net);
	rig_net_answer(in, 0);
	rig_nothing(rig.net);
	rig_pod_answer(p, rig_pod_asked(p, W_RECORD), 0);
	assert_int_equal(rig.done, 1);
	in = rig_net(N_PORTS);
	assert_string_equal(rig_text(in, K_PORT), "8081:80/tcp");
}

static void ports_are_added_to_what_holds_when_their_turn_comes(void **state)
{
	struct pod *p = rig_made("web", NULL);
	rig.done = 0;
	assert_int_equal(rig_add(p, "ports", "8080:80\n"), 0);
	assert_int_equal(rig_add(p, "ports", "8081:80\n"), 0);
	assert_int_equal(rig_add(p, "ports", "8082:80\n"), 0);
	struct wire_in *in = rig_net(N_PORTS);
	assert_int_equal(rig_count(in, K_PORT), 1);
	rig_net_answer(in, 0);
	rig_pod_answer(p, rig_pod_asked(p, W_RECORD), 0);
	in = rig_net(N_PORTS);
	assert_int_equal(rig_count(in, K_PORT), 2);
	rig_net_answer(in, .result = -EADDRINUSE, .words = "8081:80/tcp: in use");
	in = rig_net(N_PORTS);
	assert_int_equal(rig_count(in, K_PORT), 2);
	assert_string_equal(rig_text(in, K_PORT), "8080:80/tcp");
	rig_net_answer(in, 0);
	in = rig_pod_asked(p, W_RECORD);
	assert_true(rig_record_has(in, "8082:80/tcp"));
	assert_false(rig_record_has(in, "8081"));
	rig_pod_answer(p, in, 0);
	assert_int_equal(p->spec->ports.n, 2);
}

/* --- CNI --- */

static struct pod *on_cni(const char *name)
{
	struct pod *p = rig_pod(name, NET_CNI);
	strcpy(p->spec->net.cni, "x");
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	struct wire_in *in = rig_pod_asked(p, W_SANDBOX);
	assert_int_equal(in->nfds, 0);
	rig_pod_answer(p, in, 0);
	assert_int_equal(rig.result, 0); /* mkdir does not wait */
	assert_true(p->net.busy);
	if (rig.net < 0)
		rig_net(N_SYNC);
	return p;
}

static void others_do_not_wait_for_plugins(void **state)
{
	struct pod *p = on_cni("web");
	struct container *c = rig_container(p);
	struct wire_in in = *rig_net(N_CNI_ADD), *more;
	rig.done = 0;
	assert_int_equal(rig_set(p, "labels", "a=b", true), 0);
	rig_pod_answer(p, rig_pod_asked(p, W_RECORD), 0);
	assert_int_equal(rig.done, 1);
	assert_int_equal(container_go(c, true, rig_done, NULL, &rig.err), 0);
	rig_nothing(rig_podfs_pod(p)); /* but a start does */
	rig_net_answer(&in, .addr = A4, .netns = true);
	more = rig_pod_asked(p, W_NET);
	assert_int_equal(more->nfds, 1);
	assert_true(rig_record_has(more, "ip = " A4));
	rig_pod_answer(p, more, 0);
	rig_pod_answer(p, rig_pod_asked(p, W_START), 0);
	assert_int_equal(rig.done, 2);
	assert_int_equal(rig.result, 0);
}

static void what_is_no_address_is_refused(void **state)
{
	struct pod *p = rig_made("web", NULL);
	assert_int_equal(rig_set(p, "network", "cni:x", false), 0);
	rig_net_answer(rig_net(N_CNI_ADD), .addr = "999.1.1.1/24", .netns = true);
	assert_int_equal(rig.result, -EPROTO);
	assert_int_equal(rig_net(N_CNI_DEL)->nfds, 1);
	assert_string_equal(p->spec->ip.v[0], A4);
}

static void a_start_without_network_fails_in_words(void **state)
{
	struct pod *p = on_cni("web");
	struct container *c = rig_container(p);
	struct wire_in *in = rig_net(N_CNI_ADD);
	rig.done = 0;
	assert_int_equal(container_go(c, true, rig_done, NULL, &rig.err), 0);
	rig_net_answer(in, .result = -ENOENT, .words = "no CNI network x");
	assert_int_equal(rig.done, 1);
	assert_int_equal(rig.result, -ENOENT);
	assert_string_equal(rig.err.text, "network: no CNI network x");
	assert_non_null(strstr(rig.events, "FailedCreatePodSandBox: no CNI network x"));
	assert_string_equal(p->net.why, "no CNI network x");
	assert_false(c->held);
}

static void a_start_that_nobody_waits_for_comes_later(void **state)
{
	struct pod *p = on_cni("web");
	struct container *c = rig_container(p);
	struct wire_in *in = rig_net(N_CNI_ADD);
	assert_int_equal(container_go(c, false, NULL, NULL, &rig.err), 0);
	rig_net_answer(in, .result = -EAGAIN, .words = "the daemon is not there yet");
	assert_true(c->held);
	rig_net_answer(rig_net(N_CNI_ADD), .addr = A4, .netns = true); /* after a while */
	rig_pod_answer(p, rig_pod_asked(p, W_NET), 0);
	rig_pod_asked(p, W_START);
	assert_false(c->held);
}

static void cni_ports_are_for_good(void **state)
{
	struct pod *p = on_cni("web");
	rig_net_answer(rig_net(N_CNI_ADD), .addr = A4, .netns = true);
	rig_pod_answer(p, rig_pod_asked(p, W_NET), 0);
	assert_int_equal(rig_set(p, "ports", "8080:80", true), -EBUSY);
	assert_int_equal(rig_set(p, "network", "cni:y", true), -EBUSY);
	assert_non_null(strstr(rig.err.text, "write `none` first"));
}

static void a_cni_network_is_let_go_from_inside(void **state)
{
	struct pod *p = on_cni("web");
	rig_net_answer(rig_net(N_CNI_ADD), .addr = A4, .netns = true);
	rig_pod_answer(p, rig_pod_asked(p, W_NET), 0);
	net_leave(p);
	net_forget(p);
	assert_int_equal(rig_net(N_CNI_DEL)->nfds, 1);
	assert_int_equal(p->net.netns, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(network_to_none_and_back),
		RIG_TEST(a_refused_network_changes_nothing),
		RIG_TEST(who_may_choose_what),
		RIG_TEST(a_network_is_chosen_before_anything_runs),
		RIG_TEST(ports_are_podfs_nets_first),
		RIG_TEST(rates_are_podfs_nets_first),
		RIG_TEST(ports_and_networks_come_one_behind_another),
		RIG_TEST(ports_are_added_to_what_holds_when_their_turn_comes),
		RIG_TEST(others_do_not_wait_for_plugins),
		RIG_TEST(what_is_no_address_is_refused),
		RIG_TEST(a_start_without_network_fails_in_words),
		RIG_TEST(a_start_that_nobody_waits_for_comes_later),
		RIG_TEST(cni_ports_are_for_good),
		RIG_TEST(a_cni_network_is_let_go_from_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
