/* The writer of YAML, and pod.yaml from pods made by hand. That kubectl reads it: tests/kubectl. */
#include "fs/yaml.h"
#include "tests/unit/show/pods.h"

#include "runtime/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct node n;

static int begin(void **state)
{
	node_begin(&n);
	return 0;
}

static int end(void **state)
{
	node_end(&n);
	return 0;
}

static void quoted(const char *text, size_t len, const char *want)
{
	_cleanup_buf_ struct buf b = { 0 };
	yaml_quote(&b, text, len);
	assert_string_equal(buf_str(&b), want);
}
#define QUOTED(text, want) quoted(text, sizeof(text) - 1, want)

static void quotes(void **state)
{
	QUOTED("", "\"\"");
	QUOTED("a \"b\" \\c/", "\"a \\\"b\\\" \\\\c/\"");
	QUOTED("\n\t\r\0\x1f\x7f", "\"\\n\\t\\u000d\\u0000\\u001f\\u007f\"");
	QUOTED("\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbe", "\"\\u0085\\u2028\\ufeff\\ufffe\"");
	QUOTED("\xc3\xa4\xf0\x9f\x98\x80", "\"\xc3\xa4\xf0\x9f\x98\x80\"");
}

#define U "\xef\xbf\xbd"
static void not_utf8(void **state)
{
	QUOTED("a\xff", "\"a" U "\"");
	QUOTED("\xc3", "\"" U "\"");
	QUOTED("\xc3(", "\"" U "(\"");
	QUOTED("\xc0\x80", "\"" U U "\"");
	QUOTED("\xe0\x80\x80", "\"" U U U "\"");
	QUOTED("\xed\xa0\x80", "\"" U U U "\"");
	QUOTED("\xf4\x90\x80\x80", "\"" U U U U "\"");
	QUOTED("\xf5\x80", "\"" U U "\"");
	QUOTED("\xe2\x82\xac\xe2\x82", "\"\xe2\x82\xac" U U "\"");
}

static void blocks(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct yaml y = { .out = &b };
	yaml_map(&y, "a");
	yaml_list(&y, "b");
	yaml_item(&y);
	yaml_str(&y, "c", "1");
	yaml_map(&y, "d");
	yaml_int(&y, "e", -2);
	yaml_end(&y);
	yaml_bool(&y, "f", true);
	yaml_end(&y);
	yaml_scalar(&y, "g");
	yaml_item(&y);
	yaml_list(&y, "h");
	yaml_scalar(&y, "i");
	yaml_end(&y);
	yaml_end(&y);
	yaml_end(&y);
	yaml_pair(&y, "j.k/l", 5, "m");
	yaml_end(&y);
	yaml_empty_list(&y, "n");
	assert_string_equal(b.data, "a:\n"
				    "  b:\n"
				    "    - c: \"1\"\n"
				    "      d:\n"
				    "        e: -2\n"
				    "      f: true\n"
				    "    - \"g\"\n"
				    "    - h:\n"
				    "        - \"i\"\n"
				    "  \"j.k/l\": \"m\"\n"
				    "n: []\n");
}

static void has(const char *want)
{
	_cleanup_free_ char *got = shown(&n, NULL, show_yaml);
	if (!strstr(got, want))
		fail_msg("no \"%s\" in:\n%s", want, got);
}

static void lacks(const char *what)
{
	_cleanup_free_ char *got = shown(&n, NULL, show_yaml);
	if (strstr(got, what))
		fail_msg("\"%s\" in:\n%s", what, got);
}

static void plain(void **state)
{
	has("apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"web\"\n"
	    "  uid: \"01234567-89ab-4def-8123-456789abcdef\"\n  creationTimestamp: \"");
	has("spec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 30\n  containers:\n"
	    "    - name: \"nginx\"\n      image: \"nginx:alpine\"\n      imagePullPolicy: IfNotPresent\n"
	    "    - name: \"probe\"\n      image: \"busybox\"\n      imagePullPolicy: IfNotPresent\nstatus:\n"
	    "  phase: Running\n");
	has("      ready: true\n      started: true\n      restartCount: 0\n      state:\n        running:\n"
	    "          startedAt: \"");
	lacks("labels");
	lacks("annotations");
	lacks("hostname");
	lacks("shareProcessNamespace");
	lacks("lastState");
}

static void settings(void **state)
{
	struct container *c = &n.c[0];
	node_set(&n, NULL, "labels", "app=web\nx=1\n");
	node_set(&n, NULL, "annotations", "example.org/a=b=c\n");
	node_set(&n, NULL, "hostname", "other");
	node_set(&n, NULL, "share", "ipc net uts pid");
	node_set(&n, NULL, "memory.max", "256M");
	node_set(&n, c, "memory.max", "1G");
	node_set(&n, c, "cpu.max", "0.5");
	node_set(&n, c, "pids.max", "100");
	node_set(&n, c, "command", "sh -c 'echo a'");
	node_set(&n, c, "args", "[]");
	node_set(&n, c, "env", "A=1\nB=x=y\n");
	node_set(&n, c, "workdir", "/srv");
	node_set(&n, c, "user", "1000:1001");
	node_set(&n, c, "pull", "Never");
	has("      image: \"nginx:alpine\"\n      imagePullPolicy: Never\n");
	has("  labels:\n    \"app\": \"web\"\n    \"x\": \"1\"\n  annotations:\n    \"example.org/a\": \"b=c\"\n"
	    "    \"nginx.podfs/pids.max\": \"100\"\nspec:\n");
	has("  hostname: \"other\"\n  shareProcessNamespace: true\n  resources:\n    limits:\n"
	    "      memory: \"268435456\"\n");
	has("      command:\n        - \"sh\"\n        - \"-c\"\n        - \"echo a\"\n      args: []\n"
	    "      workingDir: \"/srv\"\n      env:\n        - name: \"A\"\n          value: \"1\"\n        - name: \"B\"\n"
	    "          value: \"x=y\"\n      resources:\n        limits:\n          cpu: \"500m\"\n"
	    "          memory: \"1073741824\"\n      securityContext:\n        runAsUser: 1000\n        runAsGroup: 1001\n");
}

static void without_field(void **state)
{
	struct container *c = &n.c[0];
	node_set(&n, c, "user", "www-data");
	node_set(&n, NULL, "memory.max", "max");
	has("  annotations:\n    \"podfs/memory.max\": \"max\"\n    \"nginx.podfs/user\": \"www-data\"\n");
	lacks("securityContext");
	lacks("resources");
	node_set(&n, c, "user", "3000000000");
	has("\"nginx.podfs/user\": \"3000000000\"");
	lacks("runAsUser");
}

static void network(void **state)
{
	has("status:\n  phase: Running\n");
	has("  podIP: \"10.213.0.5\"\n  podIPs:\n    - ip: \"10.213.0.5\"\n    - ip: \"fd00::5\"\n");
	lacks("hostIP");
	lacks("hostNetwork");
	lacks("hostAliases");
	lacks("dnsPolicy");
	lacks("ports:");
	node_set(&n, NULL, "ports", "8080-8081:80-81\n127.0.0.1:53:53/udp\n[::1]:53:54/udp\n");
	has("      ports:\n        - containerPort: 80\n          hostPort: 8080\n          protocol: TCP\n"
	    "        - containerPort: 81\n          hostPort: 8081\n          protocol: TCP\n"
	    "        - containerPort: 53\n          hostPort: 53\n          hostIP: \"127.0.0.1\"\n          protocol: UDP\n"
	    "        - containerPort: 54\n          hostPort: 53\n          hostIP: \"::1\"\n          protocol: UDP\n"
	    "    - name: \"probe\"\n"); /* not once more with the second container */
	node_set(&n, NULL, "net.ingress", "1M");
	node_set(&n, NULL, "net.egress", "8000");
	has("  annotations:\n    \"kubernetes.io/ingress-bandwidth\": \"1048576\"\n"
	    "    \"kubernetes.io/egress-bandwidth\": \"8000\"\nspec:\n");
	node_set(&n, NULL, "annotations", "kubernetes.io/egress-bandwidth=1\n"); /* a key stands there once */
	has("    \"kubernetes.io/egress-bandwidth\": \"1\"\n    \"kubernetes.io/ingress-bandwidth\": \"1048576\"\nspec:\n");
}

static void other_networks(void **state)
{
	lacks("podfs/network");
	node_set(&n, NULL, "network", "none");
	has("\"podfs/network\": \"none\"");
	node_set(&n, NULL, "network", "cni:x");
	has("\"podfs/network\": \"cni:x\"");
	node_set(&n, NULL, "network", "host");
	has("  hostNetwork: true\n");
	lacks("podfs/network");
	node_set(&n, NULL, "network", "bridge");
	spec_defaults.net.mode = NET_NONE; /* then it is not what a manifest gets that says nothing */
	has("\"podfs/network\": \"bridge\"");
	spec_defaults.net.mode = NET_BRIDGE;
}

/* One of each family is all that Kubernetes takes. */
static void many_addresses(void **state)
{
	assert_int_equal(strs_add(&n.pod.spec->ip, "10.9.9.9/20", 11), 0);
	has("  podIPs:\n    - ip: \"10.213.0.5\"\n    - ip: \"fd00::5\"\n  conditions:\n");
}

static void hosts_and_dns(void **state)
{
	node_set(&n, NULL, "hosts", "127.0.0.1\tlocalhost\n10.213.0.5\tweb\nfd00::5\tweb\n# c\n\n10.0.0.1 DB my_db db.Example.org # x\n"
				    "10.0.0.2 a_b\nfd00::9\tsix\n");
	has("  hostAliases:\n    - ip: \"10.0.0.1\"\n      hostnames:\n        - \"db\"\n        - \"db.example.org\"\n"
	    "    - ip: \"fd00::9\"\n      hostnames:\n        - \"six\"\n  containers:\n");
	node_set(&n, NULL, "resolv.conf", "search no such\n");
	has("  dnsPolicy: Default\n  dnsConfig:\n    searches:\n      - \"no\"\n      - \"such\"\n  containers:\n");
	node_set(&n, NULL, "resolv.conf", "# mine\nsearch no\nnameserver 1.1.1.1 # one\nnameserver fe80::1%eth0\nnameserver ::1\n"
					  "nameserver 3.3.3.3\nnameserver 4.4.4.4\ndomain Example.org. a_b\noptions ndots:2 rotate\n");
	has("  dnsPolicy: None\n  dnsConfig:\n    nameservers:\n      - \"1.1.1.1\"\n      - \"::1\"\n      - \"3.3.3.3\"\n"
	    "    searches:\n      - \"example.org\"\n    options:\n      - name: \"ndots\"\n        value: \"2\"\n"
	    "      - name: \"rotate\"\n  containers:\n");
	node_set(&n, NULL, "resolv.conf", "# nothing\n");
	has("  dnsPolicy: Default\n  containers:\n");
}

static void label_twice(void **state)
{
	struct strs *l = &n.pod.spec->labels;
	static const char *const lines[] = { "a=1", "ab=2", "a=3" };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(strs_add(l, lines[i], strlen(lines[i])), 0);
	has("  labels:\n    \"ab\": \"2\"\n    \"a\": \"3\"\n");
	lacks("\"1\"");
}

static void states(void **state)
{
	struct container_status *s = &n.c[0].status;
	s->state = C_TERMINATED;
	s->exit_code = 137;
	s->signal = 9;
	s->finished_ns = s->started_ns;
	strcpy(s->reason, "OOMKilled");
	has("        terminated:\n          exitCode: 137\n          signal: 9\n          reason: \"OOMKilled\"\n"
	    "          startedAt: \"");
	s->state = C_WAITING;
	strcpy(s->reason, "CrashLoopBackOff");
	lacks("lastState");
	s->last = (struct run_end){ .exit_code = 7, .reason = "Error", .started_ns = 1767225600000000000, .finished_ns = 1767225601000000000 };
	has("        waiting:\n          reason: \"CrashLoopBackOff\"\n      lastState:\n        terminated:\n"
	    "          exitCode: 7\n          reason: \"Error\"\n          startedAt: \"2026-01-01T00:00:00Z\"\n"
	    "          finishedAt: \"2026-01-01T00:00:01Z\"\n");
	s->state = C_RUNNING;
	has("      lastState:\n        terminated:\n          exitCode: 7\n");
	s->state = C_PAUSED;
	has("      ready: false\n      started: true\n");
	has("    - type: Ready\n      status: \"False\"\n");
}

static void no_containers(void **state)
{
	n.pod.ncontainers = 0;
	n.pod.pid = 0;
	strcpy(n.pod.lost, "killed");
	strs_free(&n.pod.spec->ip);
	fake.phase = POD_FAILED;
	has("  containers: []\nstatus:\n  phase: Failed\n  message: \"killed\"\n");
	lacks("containerStatuses");
	lacks("podIP");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes), cmocka_unit_test(not_utf8), cmocka_unit_test(blocks),
		T(plain), T(settings), T(without_field), T(network), T(other_networks), T(many_addresses), T(hosts_and_dns), T(label_twice), T(states), T(no_containers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
