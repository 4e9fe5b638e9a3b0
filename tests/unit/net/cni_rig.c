/* What the tests of CNI share: see cni_rig.h. */
#include "tests/unit/net/cni_rig.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

char dir[64], conf[80], bin[200], cache[80];
struct loop loop;
struct cni *cni;
struct cni_setup setup;
unsigned leaks, frees;
char leak_words[512];
static unsigned files_before;

struct outcome out;

int sh(const char *fmt, ...)
{
	_cleanup_free_ char *cmd = NULL;
	va_list ap;
	va_start(ap, fmt);
	assert_true(vasprintf(&cmd, fmt, ap) > 0);
	va_end(ap);
	int status = system(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void put_file(const char *folder, const char *name, mode_t mode, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

void put_plugin(const char *name, const char *script)
{
	char text[2048], folder[80];
	snprintf(text, sizeof text, "#!/bin/sh\ncd %s\n%s\n", dir, script);
	snprintf(folder, sizeof folder, "%s/bin", dir);
	put_file(folder, name, 0755, text);
}

void put_net(const char *name, const char *version, const char *types)
{
	char text[2048], file[80];
	int n = snprintf(text, sizeof text, "{\"name\":\"%s\",\"cniVersion\":\"%s\",\"plugins\":[", name, version);
	for (const char *t = types; *t; t += strspn(t, " ")) {
		size_t k = strcspn(t, " ");
		n += snprintf(text + n, sizeof text - (size_t)n, "%s{\"type\":\"%.*s\"}", t == types ? "" : ",", (int)k, t);
		t += k;
	}
	snprintf(text + n, sizeof text - (size_t)n, "]}");
	snprintf(file, sizeof file, "50-%s.conflist", name);
	put_file(conf, file, 0644, text);
}

static void on_leak(void *arg, const char *uid, const char *words)
{
	leaks++;
	snprintf(leak_words, sizeof leak_words, "%s %s", uid, words);
}

static void on_freed(void *arg, const char *uid)
{
	frees++;
}

void on_done(void *arg, const struct err *e, const struct cni_answer *got)
{
	struct outcome *o = arg;
	size_t n = 0;
	o->n++;
	o->e = e ? *e : (struct err){ 0 };
	*o->addrs = 0;
	for (size_t i = 0; got && i < got->addrs.n; i++)
		n += (size_t)snprintf(o->addrs + n, sizeof o->addrs - n, "%s%s", i ? " " : "", got->addrs.v[i]);
	for (size_t i = 0; got && i < got->dns.n; i++)
		n += (size_t)snprintf(o->addrs + n, sizeof o->addrs - n, " dns %s", got->dns.v[i]);
}

int cni_fixture(void **state)
{
	strcpy(dir, "/tmp/podfs-test-cni.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(conf, sizeof conf, "%s/net.d", dir);
	snprintf(cache, sizeof cache, "%s/cache", dir);
	snprintf(bin, sizeof bin, "%s/bin:/usr/lib/cni:/opt/cni/bin", dir);
	assert_int_equal(sh("cd %s && mkdir net.d bin leases", dir), 0);
	assert_int_equal(loop_init(&loop), 0);
	rig_loop = &loop;
	setup = (struct cni_setup){
		.loop = &loop, .conf = conf, .bin = bin, .cache = cache, .deadline_ms = 20000, .retry_ms = 20,
		.leak = on_leak, .freed = on_freed,
	};
	assert_int_equal(cni_open(&cni, &setup, NULL), 0);
	leaks = frees = 0;
	out = (struct outcome){ 0 };
	put_plugin("good", "cat >/dev/null; echo $CNI_COMMAND >>log\n"
			   "[ $CNI_COMMAND != ADD ] || echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.1.2.3/24\"}]}'");
	return 0;
}

int cni_unfixture(void **state)
{
	cni_close(&cni);
	loop_free(&loop);
	rig_loop = NULL;
	rig_go();
	assert_int_equal(sh("rm -rf %s", dir), 0);
	if (!files_before)
		files_before = rig_open_files();
	assert_int_equal(rig_open_files(), files_before);
	return 0;
}

static int sit(void *arg)
{
	NEED(!unshare(CLONE_NEWNET));
	rig_ready();
	pause();
	return 0;
}

int new_netns(void)
{
	char path[40];
	pid_t pid = rig_start(ON_HOST, sit, NULL);
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	rig_end(pid);
	return fd;
}

void wait_for(const struct outcome *o)
{
	for (unsigned n = o->n; o->n == n;)
		assert_int_equal(loop_once(&loop, -1), 0);
}

int add_ports(const char *uid, const char *net, int netns, const struct port *ports, size_t nports)
{
	struct cni_request q = { .uid = uid, .pod = "web", .network = net, .netns = netns, .ports = ports, .nports = nports };
	unsigned n = out.n;
	chain_add(cni, &q, on_done, &out);
	if (out.n == n)
		wait_for(&out);
	return -out.e.code;
}

int add(const char *uid, const char *net, int netns)
{
	return add_ports(uid, net, netns, NULL, 0);
}

int del(const char *uid, int netns)
{
	unsigned n = out.n;
	chain_del(cni, uid, netns, on_done, &out);
	if (out.n == n)
		wait_for(&out);
	return -out.e.code;
}

int check(const char *uid, int netns)
{
	unsigned n = out.n;
	chain_check(cni, uid, netns, on_done, &out);
	if (out.n == n)
		wait_for(&out);
	return -out.e.code;
}

void said(int r, int want, const char *words)
{
	if (r != want || !strstr(out.e.text, words))
		fail_msg("%s: %s", strerror(-r), out.e.text);
}

bool has_record(const char *uid)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s.json", cache, uid);
	return !access(path, F_OK);
}

int in_netns(int netns, const char *cmd)
{
	return sh("nsenter --net=/proc/%d/fd/%d %s", (int)getpid(), netns, cmd);
}
