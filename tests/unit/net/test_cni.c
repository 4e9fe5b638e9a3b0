/* CNI: what is refused, what plugins are given, and plugins that misbehave. */
#include "tests/unit/net/cni_rig.h"

#include <fcntl.h>
#include <stdio.h>

/* --- what is refused --- */

static void refusals(void **state)
{
	struct port p;
	int netns = new_netns(), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	put_file(conf, "10-old.conf", 0644, "{\"name\":\"old\",\"cniVersion\":\"0.2.0\",\"type\":\"good\"}");
	put_file(conf, "11-bad.json", 0644, "{\"name\":");
	put_file(conf, "12-path.conf", 0644, "{\"name\":\"path\",\"cniVersion\":\"1.0.0\",\"type\":\"../bin/good\"}");
	put_file(conf, "13-none.conflist", 0644, "{\"name\":\"none\",\"cniVersion\":\"1.0.0\",\"plugins\":[]}");
	put_file(conf, "14-new.conflist", 0644, "{\"name\":\"new\",\"cniVersion\":\"9.0.0\",\"plugins\":[{\"type\":\"good\"}]}");
	put_file(conf, "15-single.conf", 0644, "{\"name\":\"single\",\"cniVersion\":\"1.0.0\",\"type\":\"good\"}");
	put_file(conf, "16-hidden.txt", 0644, "{\"name\":\"hidden\",\"cniVersion\":\"1.0.0\",\"type\":\"good\"}");
	put_net("missing", "1.0.0", "good not-there");
	assert_int_equal(sh("mkfifo %s/05-pipe.conf", conf), 0);
	said(add(WEB, "nowhere", netns), -ENOENT, "no CNI network nowhere in");
	said(add(WEB, "hidden", netns), -ENOENT, "no CNI network hidden");
	assert_int_equal(sh("rm %s/05-pipe.conf", conf), 0);
	said(add(WEB, "old", netns), -ENOENT, "10-old.conf: cniVersion 0.2.0 is not known");
	assert_int_equal(sh("rm %s/10-old.conf", conf), 0);
	said(add(WEB, "bad", netns), -ENOENT, "11-bad.json: bad JSON: line 1");
	assert_int_equal(sh("rm %s/11-bad.json", conf), 0);
	said(add(WEB, "path", netns), -ENOENT, "12-path.conf: plugin 1 has no `type`");
	assert_int_equal(sh("rm %s/12-path.conf", conf), 0);
	said(add(WEB, "none", netns), -ENOENT, "13-none.conflist: a network without plugins");
	assert_int_equal(sh("rm %s/13-none.conflist", conf), 0);
	said(add(WEB, "new", netns), -ENOENT, "14-new.conflist: cniVersion 9.0.0 is not known");
	said(add(WEB, "missing", netns), -ENOENT, "CNI plugin not-there is not in");
	said(add("../x", "single", netns), -EINVAL, "uid");
	said(add(WEB, "single", file), -EINVAL, "no network namespace");
	assert_int_equal(parse_port("8080:80", 7, &p, NULL), 0);
	said(add_ports(WEB, "single", netns, &p, 1), -EOPNOTSUPP, "no plugin that publishes ports");
	said(check(WEB, -1), -ENOENT, "not attached");
	said(del(WEB, -1), 0, "");
	assert_int_equal(sh("test ! -e %s/log", dir), 0); /* no plugin was run for any of this */
	said(add(WEB, "single", netns), 0, "");
	assert_string_equal(out.addrs, "10.1.2.3/24");
	said(del(WEB, -1), 0, "");
	assert_int_equal(sh("test \"$(cat %s/log)\" = 'ADD\nDEL'", dir), 0);
	assert_int_equal(sh("rm -r %s", conf), 0);
	said(add(WEB, "single", netns), -ENOENT, "no CNI network single");
	close(netns);
	close(file);
}

static void failures_of_a_plugin(void **state)
{
	static const struct { const char *script; int code; const char *words; } t[] = {
		{ "echo rubbish", EINVAL, "CNI plugin bad (ADD of network net): it ended well, but printed no result: bad JSON" },
		{ "", EINVAL, "printed no result" },
		{ "echo '[]'", EINVAL, "no JSON object" },
		{ "echo '{}'", EPROTONOSUPPORT, "cniVersion (none) is not known" },
		{ "printf '{\"a\":'; i=0; while [ $i -lt 2000 ]; do printf '['; i=$((i+1)); done", EINVAL, "nested deeper" },
		{ "printf %s '{\"cniVersion\":\"1.0.0\",\"code\":7,\"msg\":\"no such\\nbridge\",\"details\":\"br9\"}'; exit 1", EINVAL,
		  "no such?bridge; br9 (code 7)" },
		{ "echo '{\"code\":11,\"msg\":\"later\"}'; exit 3", EAGAIN, "later (code 11)" },
		{ "echo '{\"code\":999}'; exit 3", EIO, "no words (code 999)" },
		{ "echo one >&2; echo 'two \033[31m' >&2; echo >&2; exit 5", EIO, "it ended with 5: two ?[31m" },
		{ "exit 5", EIO, "it ended with 5 and said nothing" },
		{ "kill -SEGV $$", EIO, "ended by signal SIGSEGV" },
		{ "head -c 3000000 /dev/zero; sleep 100", EFBIG, "printed more than 1048576 bytes and was killed" },
		{ "head -c 3000000 /dev/zero >&2; exit 9", EIO, "ended with 9" },
	};
	int netns = new_netns();
	put_net("net", "1.0.0", "good bad good");
	EACH(t, i) {
		char script[512];
		snprintf(script, sizeof script, "echo bad $CNI_COMMAND >>log; [ $CNI_COMMAND = ADD ] || exit 0\n%s", t[i].script);
		put_plugin("bad", script);
		said(add(WEB, "net", netns), -t[i].code, t[i].words);
		assert_int_equal(sh("cd %s; test \"$(cat log)\" = 'ADD\nbad ADD\nbad DEL\nDEL' && rm log", dir), 0);
		assert_false(has_record(WEB));
		assert_false(chain_any(cni));
	}
	assert_int_equal(leaks, 0);
	close(netns);
}

/* --- plugins that hang --- */

#define HANG "echo $CNI_COMMAND >>log; [ $CNI_COMMAND = ADD ] || exit 0\nsleep 1000 & echo $! >pids; sleep 1000"

/* Killed, also what it had started. */
static void hanging(void **state)
{
	int netns = new_netns();
	cni_close(&cni);
	setup.deadline_ms = 300;
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	put_plugin("hang", HANG);
	put_net("net", "1.0.0", "good hang");
	uint64_t from = now_mono_ns();
	said(add(WEB, "net", netns), -ETIMEDOUT, "CNI plugin hang (ADD of network net): not ended within 0.3 s, killed");
	assert_in_range((now_mono_ns() - from) / 1000000, 299, 5000);
	assert_int_equal(sh("! grep -s '^State:' /proc/$(cat %s/pids)/status | grep -v '[XZ] '", dir), 0);
	assert_false(chain_any(cni));
	close(netns);
}

static void removed_meanwhile(void **state)
{
	struct outcome adding = { 0 };
	int netns = new_netns();
	struct cni_request q = { .uid = WEB, .pod = "web", .network = "net", .netns = netns };
	put_plugin("hang", HANG);
	put_net("net", "1.0.0", "good hang");
	chain_add(cni, &q, on_done, &adding);
	while (sh("test -s %s/pids", dir))
		loop_once(&loop, 10);
	said(add(WEB, "net", netns), -EBUSY, "being changed already");
	uint64_t from = now_mono_ns();
	said(del(WEB, -1), 0, "");
	assert_in_range((now_mono_ns() - from) / 1000000, 0, 5000);
	assert_int_equal(adding.n, 1);
	assert_int_equal(adding.e.code, ECANCELED);
	assert_int_equal(sh("cd %s; test \"$(cat log)\" = 'ADD\nADD\nDEL\nDEL'", dir), 0);
	assert_false(has_record(WEB));
	/* At once: its first plugin has not even begun. */
	adding = (struct outcome){ 0 };
	chain_add(cni, &q, on_done, &adding);
	said(del(WEB, -1), 0, "");
	assert_int_equal(adding.e.code, ECANCELED);
	assert_false(chain_any(cni));
	close(netns);
}

/* A pod that is made anew, or goes to another network: the ADD waits for the DEL, and only the last ADD counts. */
static void added_again_while_it_is_deleted(void **state)
{
	struct outcome hangs = { 0 }, gone = { 0 }, first = { 0 };
	int netns = new_netns();
	struct cni_request q = { .uid = WEB, .pod = "web", .network = "net", .netns = netns };
	put_plugin("hang", HANG);
	put_net("net", "1.0.0", "good hang");
	put_net("other", "1.0.0", "good");
	chain_add(cni, &q, on_done, &hangs);
	while (sh("test -s %s/pids", dir))
		loop_once(&loop, 10);
	chain_del(cni, WEB, -1, on_done, &gone);
	chain_add(cni, &q, on_done, &first);
	q.network = "other";
	chain_add(cni, &q, on_done, &out);
	assert_int_equal(first.e.code, ECANCELED);
	wait_for(&out);
	said(-out.e.code, 0, "");
	assert_int_equal(hangs.e.code, ECANCELED);
	assert_int_equal(gone.n, 1);
	assert_int_equal(gone.e.code, 0);
	assert_int_equal(sh("cd %s; test \"$(cat log)\" = 'ADD\nADD\nDEL\nDEL\nADD'", dir), 0);
	said(add(WEB, "other", netns), 0, "");
	assert_int_equal(del(WEB, -1), 0);
	close(netns);
}

/* Its child holds the pipes and lives on: that is not waited for. */
static void leaves_a_child(void **state)
{
	int netns = new_netns();
	put_plugin("fork", "sleep 5 & echo '{\"cniVersion\":\"1.0.0\"}'");
	put_net("net", "1.0.0", "fork");
	uint64_t from = now_mono_ns();
	said(add(WEB, "net", netns), 0, "");
	assert_string_equal(out.addrs, "");
	assert_in_range((now_mono_ns() - from) / 1000000, 0, 3000);
	said(del(WEB, -1), 0, "");
	close(netns);
}

/* --- DEL that does not hold --- */

static void fails_on_del(void **state)
{
	int netns = new_netns();
	put_plugin("stuck", "echo stuck $CNI_COMMAND >>log\n"
			    "[ $CNI_COMMAND != ADD ] || exec echo '{\"cniVersion\":\"1.0.0\"}'\n"
			    "[ -e free ] || { echo '{\"code\":100,\"msg\":\"still used\"}'; exit 1; }");
	put_net("net", "1.0.0", "good stuck good");
	assert_int_equal(add(WEB, "net", netns), 0);
	said(del(WEB, -1), -EIO, "CNI plugin stuck (DEL of network net): still used (code 100)");
	assert_int_equal(leaks, 1);
	assert_non_null(strstr(leak_words, WEB " CNI plugin stuck"));
	assert_true(has_record(WEB));
	said(add(WEB, "net", netns), -EIO, "still used"); /* not on top of what is left */
	while (sh("test $(grep -c 'stuck DEL' %s/log) -ge 4", dir))
		loop_once(&loop, 100);
	assert_int_equal(leaks, 1);
	assert_int_equal(frees, 0);
	assert_int_equal(sh("touch %s/free", dir), 0);
	while (!frees)
		loop_once(&loop, 100);
	assert_false(has_record(WEB));
	assert_false(chain_any(cni));
	assert_int_equal(sh("test $(grep -cx DEL %s/log) = 2", dir), 0); /* those that held are not run again */
	close(netns);
}

/* An ADD that fails, and cannot be taken back either, is not forgotten, over a restart too. */
static void fails_on_both(void **state)
{
	int netns = new_netns();
	put_plugin("stuck", "[ -e free ] || { echo \"no $CNI_COMMAND today\" >&2; exit 1; }");
	put_net("net", "1.0.0", "good stuck good");
	said(add(WEB, "net", netns), -EIO, "no ADD today");
	assert_int_equal(leaks, 1);
	assert_non_null(strstr(leak_words, "no DEL today"));
	cni_close(&cni);
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	assert_int_equal(sh("touch %s/free", dir), 0);
	said(del(WEB, -1), 0, "");
	assert_false(has_record(WEB));
	close(netns);
}

/* podfs-net and the pod were both killed: the sandbox is another one, the record is of the old one. */
static void another_namespace_after_a_crash(void **state)
{
	int netns = new_netns();
	put_net("net", "1.0.0", "good");
	assert_int_equal(add(WEB, "net", netns), 0);
	cni_close(&cni);
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	close(netns);
	netns = new_netns();
	assert_int_equal(add(WEB, "net", netns), 0);
	assert_int_equal(sh("test \"$(cat %s/log)\" = 'ADD\nDEL\nADD'", dir), 0);
	close(netns);
}

static void count_uid(void *arg, const char *uid)
{
	assert_true(!strcmp(uid, WEB) || !strcmp(uid, DB));
	++*(int *)arg;
}

static void every_record_is_told(void **state)
{
	int netns = new_netns(), n = 0;
	put_net("net", "1.0.0", "good");
	assert_int_equal(add(WEB, "net", netns), 0);
	cni_close(&cni);
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	assert_int_equal(add(DB, "net", netns), 0);
	put_file(cache, "stranger.txt", 0600, "x");
	put_file(cache, ".11111111-0000.json.tmp", 0600, "x");
	chain_each(cni, count_uid, &n);
	assert_int_equal(n, 2);
	put_file(cache, "33333333-0000.json", 0600, "{ rubbish");
	said(del("33333333-0000", -1), -EINVAL, "33333333-0000.json: bad JSON");
	assert_int_equal(sh("cd %s && cp " WEB ".json 44444444-0000.json", cache), 0);
	said(del("44444444-0000", -1), -EINVAL, "44444444-0000.json: it is of another pod");
	assert_int_equal(sh("rm %s/44444444-0000.json", cache), 0);
	assert_int_equal(del(WEB, -1), 0);
	assert_int_equal(del(DB, -1), 0);
	assert_int_equal(sh("test \"$(ls %s)\" = '33333333-0000.json\nstranger.txt'", cache), 0);
	close(netns);
}

/* --- what a plugin is given --- */

static void what_a_plugin_is_given(void **state)
{
	struct port p[2];
	int netns = new_netns();
	put_plugin("spy", "tr '\\0' '\\n' </proc/$$/environ | sort >env; ls /proc/$$/fd >fds; cat >in.$CNI_COMMAND\n"
			  "grep -E 'Sig(Blk|Ign)' /proc/self/status >signals; stat -Lc %i $CNI_NETNS >inode\n"
			  "[ $CNI_COMMAND != ADD ] || echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"fd00::9/64\"},"
			  "{\"address\":\"10.0.0.1/8\",\"interface\":0},{\"address\":\"10.0.0.9/8\",\"interface\":1}],"
			  "\"interfaces\":[{\"name\":\"br\"},{\"name\":\"eth0\",\"sandbox\":\"'$CNI_NETNS'\"}]}'");
	put_file(conf, "50-net.conflist", 0644,
		 "{\"name\":\"net\",\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"good\"},{\"type\":\"spy\",\"extra\":[1],"
		 "\"capabilities\":{\"portMappings\":true,\"bandwidth\":true,\"ips\":true}}]}");
	assert_int_equal(parse_port("127.0.0.1:8000-8001:80-81", 25, &p[0], NULL), 0);
	assert_int_equal(parse_port("53:53/udp", 9, &p[1], NULL), 0);
	struct cni_request q = {
		.uid = WEB, .pod = "web", .network = "net", .netns = netns, .ports = p, .nports = 2, .rate_in = 1000000, .rate_out = 5,
	};
	chain_add(cni, &q, on_done, &out);
	wait_for(&out);
	said(-out.e.code, 0, "");
	assert_string_equal(out.addrs, "10.0.0.9/8 fd00::9/64");
	assert_int_equal(sh("cd %s; exec 2>&1; grep -v '^CNI_NETNS=/proc/[0-9]*/fd/[0-9]*$' env >others; diff others - <<EOF\n"
			    "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=" WEB ";K8S_POD_UID=" WEB "\n"
			    "CNI_COMMAND=ADD\nCNI_CONTAINERID=" WEB "\nCNI_IFNAME=eth0\nCNI_PATH=%s\n"
			    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nEOF", dir, bin), 0);
	assert_int_equal(sh("cd %s; test \"$(echo $(cat fds))\" = '0 1 10 11 2'", dir), 0); /* 10, 11: the shell's own */
	assert_int_equal(sh("cd %s; ! grep -v '0000000000000000$' signals | grep Sig[BI]", dir), 0);
	assert_int_equal(sh("test $(cat %s/inode) = $(stat -Lc %%i /proc/%d/fd/%d)", dir, (int)getpid(), netns), 0);
	assert_int_equal(sh("cd %s; jq -e '.name == \"net\" and .cniVersion == \"1.0.0\" and .extra == [1] and .capabilities == null and "
			    ".prevResult.ips[0].address == \"10.1.2.3/24\" and (.runtimeConfig | .ips == null and "
			    ".bandwidth.ingressRate == 1000000 and .bandwidth.egressRate == 5 and "
			    ".portMappings == [{hostPort:8000,containerPort:80,protocol:\"tcp\",hostIP:\"127.0.0.1\"},"
			    "{hostPort:8001,containerPort:81,protocol:\"tcp\",hostIP:\"127.0.0.1\"},{hostPort:53,containerPort:53,protocol:\"udp\"}])'"
			    " in.ADD >/dev/null", dir), 0);
	assert_int_equal(del(WEB, -1), 0);
	assert_int_equal(sh("cd %s; jq -e '.prevResult.ips[0].address == \"fd00::9/64\" and .runtimeConfig.bandwidth.egressRate == 5' in.DEL "
			    ">/dev/null", dir), 0);
	close(netns);
}

/* --- many --- */

static void many_at_once(void **state)
{
	int netns[20];
	struct outcome each[20] = { 0 }, gone[20] = { 0 };
	put_plugin("slow", "mkdir -p runs; : >runs/$$; ls runs | wc -l >>width; sleep 0.05; rm runs/$$\n"
			   "echo '{\"cniVersion\":\"1.0.0\"}'");
	put_net("net", "1.0.0", "slow");
	for (int i = 0; i < 20; i++) {
		char uid[40];
		snprintf(uid, sizeof uid, "%08d-0000", i);
		netns[i] = new_netns();
		struct cni_request q = { .uid = uid, .pod = "web", .network = "net", .netns = netns[i] };
		chain_add(cni, &q, on_done, &each[i]);
	}
	for (int i = 0; i < 20; i++) {
		if (!each[i].n)
			wait_for(&each[i]);
		assert_int_equal(each[i].e.code, 0);
		close(netns[i]);
	}
	for (int i = 0; i < 20; i++) {
		char uid[40];
		snprintf(uid, sizeof uid, "%08d-0000", i);
		chain_del(cni, uid, -1, on_done, &gone[i]);
	}
	for (int i = 0; i < 20; i++) {
		if (!gone[i].n)
			wait_for(&gone[i]);
		assert_int_equal(gone[i].e.code, 0);
	}
	assert_false(chain_any(cni));
	assert_int_equal(sh("cd %s; test $(sort -n width | tail -n 1) -le %d -a $(sort -n width | tail -n 1) -gt 1", dir, CNI_AT_ONCE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refusals),
		TEST(failures_of_a_plugin),
		TEST(hanging),
		TEST(removed_meanwhile),
		TEST(added_again_while_it_is_deleted),
		TEST(leaves_a_child),
		TEST(fails_on_del),
		TEST(fails_on_both),
		TEST(another_namespace_after_a_crash),
		TEST(every_record_is_told),
		TEST(what_a_plugin_is_given),
		TEST(many_at_once),
	};
	return cmocka_run_group_tests(tests, rig_enter, rig_leave);
}
