/* The texts of the tree, word for word, from pods made by hand. */
#include "fs/image_name.h"
#include "tests/unit/show/pods.h"

#include "runtime/base/util.h"

#include <errno.h>
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

static void reads(struct container *c, show_fn *fn, const char *want)
{
	_cleanup_free_ char *got = shown(&n, c, fn);
	assert_string_equal(got, want);
}

static void has(show_fn *fn, const char *want)
{
	_cleanup_free_ char *got = shown(&n, NULL, fn);
	if (!strstr(got, want))
		fail_msg("no \"%s\" in:\n%s", want, got);
}

static void ages(void **state)
{
	static const struct {
		uint64_t s;
		const char *want;
	} t[] = {
		{ 0, "0s" },          { 119, "119s" },       { 120, "2m" },        { 150, "2m30s" },
		{ 599, "9m59s" },     { 600, "10m" },        { 10799, "179m" },    { 10800, "3h" },
		{ 11160, "3h6m" },    { 28800, "8h" },       { 172799, "47h" },    { 172800, "2d" },
		{ 180000, "2d2h" },   { 691200, "8d" },      { 63071999, "729d" }, { 63072000, "2y" },
		{ 63158400, "2y1d" }, { 252288000, "8y" },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		_cleanup_buf_ struct buf b = { 0 };
		/* a tenth of a second back, so that a slow machine does not come to the next second */
		show_age(now_real_ns() - t[i].s * 1000000000 - 100000000, &b);
		assert_string_equal(buf_str(&b), t[i].want);
	}
	_cleanup_buf_ struct buf ahead = { 0 };
	show_age(now_real_ns() + 5000000000, &ahead);
	assert_string_equal(buf_str(&ahead), "0s");
}

static void tables(void **state)
{
	reads(NULL, show_pods,
	      "NAME   READY   STATUS    RESTARTS   AGE\n"
	      "web    2/2     Running   0          5m\n");
	reads(NULL, show_wide,
	      "NAME   READY   STATUS    RESTARTS   AGE   IP           CONTAINERS    IMAGES                 OWNER\n"
	      "web    2/2     Running   0          5m    10.213.0.5   nginx,probe   nginx:alpine,busybox   root\n");
	n.en.npods = 0;
	reads(NULL, show_pods, "NAME   READY   STATUS   RESTARTS   AGE\n");
}

static void empty_cells(void **state)
{
	n.pod.ncontainers = 0;
	n.pod.pid = 0;
	strs_free(&n.pod.spec->ip);
	n.pod.spec->owner = 4294967290u;
	fake.phase = POD_PENDING;
	reads(NULL, show_wide,
	      "NAME   READY   STATUS    RESTARTS   AGE   IP       CONTAINERS   IMAGES   OWNER\n"
	      "web    0/0     Pending   0          5m    <none>   <none>       <none>   4294967290\n");
	reads(NULL, show_ip, "");
}

static void word(const char *want)
{
	assert_string_equal(pod_word(&n.pod), want);
}

static void status_column(void **state)
{
	struct container_status *a = &n.c[0].status, *b = &n.c[1].status;
	word("Running");
	b->state = C_TERMINATED;
	strcpy(b->reason, "Completed");
	word("Running"); /* the other one goes on */
	strcpy(b->reason, "OOMKilled");
	word("OOMKilled");
	a->state = C_WAITING;
	strcpy(a->reason, "CrashLoopBackOff");
	word("CrashLoopBackOff"); /* the first one's comes first */
	a->state = C_PAUSED;
	word("Paused");
	a->state = b->state = C_TERMINATED;
	strcpy(a->reason, "Completed");
	strcpy(b->reason, "Completed");
	word("Completed");
	a->reason[0] = 0;
	word("Error");
	a->state = C_WAITING;
	strcpy(a->reason, "ContainerCreating");
	word("ContainerCreating");
	free(take_ptr(n.c[0].spec->image));
	n.pod.ncontainers = 1;
	fake.phase = POD_PENDING;
	word("Pending");
	strcpy(n.pod.lost, "podfs-pod was killed");
	word("Pending");
	n.pod.pid = 0;
	word("SandboxLost");
}

static void state_line(void **state)
{
	struct container_status *s = &n.c[0].status;
	reads(&n.c[0], show_state, "running\n");
	s->state = C_PAUSED;
	reads(&n.c[0], show_state, "paused\n");
	s->state = C_TERMINATED;
	s->exit_code = 0;
	strcpy(s->reason, "Completed");
	reads(&n.c[0], show_state, "terminated Completed (exit code 0)\n");
	s->exit_code = 137;
	s->signal = 9;
	strcpy(s->reason, "OOMKilled");
	reads(&n.c[0], show_state, "terminated OOMKilled (exit code 137, SIGKILL)\n");
	s->exit_code = 127;
	s->signal = 0;
	strcpy(s->reason, "StartError");
	strcpy(s->message, "exec /nope: No such file or directory");
	reads(&n.c[0], show_state, "terminated StartError (exit code 127): exec /nope: No such file or directory\n");
	s->state = C_WAITING;
	strcpy(s->reason, "CrashLoopBackOff");
	s->next_ns = now_real_ns() + 8900000000;
	reads(&n.c[0], show_state, "waiting CrashLoopBackOff: next start in 9 s\n");
	*s = (struct container_status){ .state = C_WAITING, .exit_code = -1 };
	reads(&n.c[0], show_state, "waiting\n");
	free(take_ptr(n.c[0].spec->image));
	reads(&n.c[0], show_state, "waiting: no image yet\n");
}

static void numbers(void **state)
{
	struct container_status *s = &n.c[0].status;
	reads(&n.c[0], show_pid, "4242\n");
	reads(&n.c[0], show_exitcode, "");
	reads(&n.c[0], show_restarts, "0\n");
	s->exit_code = 3; /* of the run before */
	reads(&n.c[0], show_exitcode, "");
	s->state = C_TERMINATED;
	s->pid = 0;
	s->restarts = 12;
	reads(&n.c[0], show_pid, "");
	reads(&n.c[0], show_exitcode, "3\n");
	reads(&n.c[0], show_restarts, "12\n");
}

static void one_liners(void **state)
{
	reads(NULL, show_status, "Running\n");
	reads(NULL, show_why, "because of web\n");
	reads(&n.c[1], show_why, "because of probe\n");
	reads(NULL, show_ip, "10.213.0.5\nfd00::5\n");
	reads(NULL, show_version, "podfs " PODFS_VERSION "\n");
}

static void uses(void **state)
{
	_cleanup_buf_ struct buf out = { 0 };
	struct ref r = { .en = &n.en, .pod = &n.pod };
	assert_int_equal(show_use(&r, "cpu.stat", &out), 0);
	r.c = &n.c[0];
	assert_int_equal(show_use(&r, "memory.peak", &out), 0);
	assert_string_equal(buf_str(&out), "01234567-89ab-4def-8123-456789abcdef//cpu.stat\n"
					   "01234567-89ab-4def-8123-456789abcdef/nginx.100/memory.peak\n");
}

static void config(void **state)
{
	has(show_config, "\nversion = " PODFS_VERSION "\n");
	has(show_config, "\ncgroup_version = 2\n");
	has(show_config, "\nstarted = 1970-01-01T00:00:01Z\n");
	has(show_config, "\npods = 1\nimages = 0\n");
	has(show_config, "log_max");
}

static void network(void **state)
{
	assert_int_equal(config_finish(&n.cfg, NULL), 0);
	reads(NULL, show_network, "# podfs0 is made for the first pod on it\n");
	n.en.net_info = (char *)"bridge podfs0\n";
	reads(NULL, show_network, "bridge podfs0\n");
	n.pod.pid = 0;
	reads(NULL, show_net_stat, "");
}

static void leaving(void **state)
{
	reads(NULL, show_leaving, "");
	n.en.leaving = &n.pod;
	n.pod.leave_by_ns = now_mono_ns() + 28900000000;
	reads(NULL, show_leaving, "web 01234567-89ab-4def-8123-456789abcdef 29\n");
	n.pod.leave_by_ns = 1;
	reads(NULL, show_leaving, "web 01234567-89ab-4def-8123-456789abcdef 0\n");
}

static void top(void **state)
{
	/* a tenth of a core in the five minutes since it was made, with two seconds to spare */
	fake.use = (struct cg_use){ .memory = 15 * 1024 * 1024 + 1, .cpu_usec = 30200000, .pids = 3 };
	const char *want = "NAME   CONTAINER   CPU    MEMORY   PIDS\n"
			   "web    -           100m   15Mi     3\n"
			   "web    nginx       100m   15Mi     3\n"
			   "web    probe       100m   15Mi     3\n";
	uint64_t began = now_mono_ns();
	reads(NULL, show_top, want);
	fake.use.cpu_usec += 10000000;
	_cleanup_free_ char *again = shown(&n, NULL, show_top);
	if (now_mono_ns() - began < 200000000) /* at once again: the same figure */
		assert_string_equal(again, want);
	fake.use_result = -ENOENT;
	reads(NULL, show_top, "NAME   CONTAINER   CPU   MEMORY   PIDS\n");
}

static struct image busybox = {
	.canonical = (char *)"docker.io/library/busybox:latest", .written = (char *)"busybox", .size = 3 << 20,
};
static struct pull nginx = {
	.reference = (char *)"nginx:alpine", .canonical = (char *)"docker.io/library/nginx:alpine",
	.layers_done = 3, .layers = 8, .bytes = 45 << 20, .total = 135 << 20, .rate = 89000000, .error = "fine",
};

static const char *shown_image(const char *path, struct buf *out)
{
	struct ref r = { .en = &n.en, .path = path };
	buf_reset(out);
	return show_image(&r, out) == -ENOENT ? NULL : buf_str(out);
}

static void image(void **state)
{
	_cleanup_buf_ struct buf out = { 0 };
	assert_null(shown_image("busybox", &out));
	fake.image = &busybox;
	assert_string_equal(shown_image("busybox", &out), "docker.io/library/busybox:latest\n");
	fake.pulls = &nginx;
	n.c[0].pull = &nginx;
	assert_string_equal(shown_image("nginx:alpine", &out), "Image:       nginx:alpine\n"
							       "Name:        docker.io/library/nginx:alpine\n"
							       "Pull:        so far fine\nFor:         web/nginx\n");
	nginx.reference = busybox.written;
	assert_string_equal(shown_image("busybox", &out), "docker.io/library/busybox:latest\n"
							  "Pull:        so far fine\nFor:         web/nginx\n");
	nginx.reference = (char *)"nginx:alpine";
}

static void pulls(void **state)
{
	struct pull late = {
		.reference = (char *)"b", .canonical = (char *)"docker.io/library/b:latest", .state = PULL_BACKOFF, .attempts = 2,
		.by_node = true, .error = "away",
	};
	reads(NULL, show_pull, "");
	fake.pulls = &nginx;
	nginx.next = &late;
	nginx.started_ns = now_real_ns() - 5100000000;
	n.c[0].pull = n.c[1].pull = &nginx;
	reads(NULL, show_pull,
	      "REFERENCE      STATE     LAYER   BYTES        %     RATE      TIME   FOR\n"
	      "nginx:alpine   Pulling   4/8     45.0M/135M   33%   84.9M/s   5s     web/nginx,web/probe\n"
	      "b              BackOff   -       -            -     -         -      node: so far away\n");
	nginx.next = NULL;
	nginx.layers = nginx.total = nginx.bytes = nginx.rate = 0;
	nginx.by_node = true;
	fake.more_waiters = 70;
	reads(NULL, show_pull,
	      "REFERENCE      STATE     LAYER   BYTES   %   RATE   TIME   FOR\n"
	      "nginx:alpine   Pulling   -       -       -   -      5s     node,web/nginx,web/probe,+70\n");
	nginx.queued = true;
	has(show_pull, "nginx:alpine   Queued   -  ");
	nginx.queued = false;
	nginx.total = 1;
	nginx.bytes = 2; /* sizes that lie */
	has(show_pull, " 2/1     100%   ");
}

static void df(void **state)
{
	struct log_reader *log = (struct log_reader *)&n; /* only asked for its size */
	has(show_df, "TYPE     TOTAL   ACTIVE   SIZE   RECLAIMABLE\n"
		     "Images   0       0        0      0 (0%)\n"
		     "Logs     0       0        0      0 (0%)\n\n"
		     "STATE            SIZE   USED   AVAIL   USE%   GC\n"
		     "/var/lib/podfs   0      0      0       0%     above 85%, down to 80%\n");
	fake.image = &busybox;
	fake.log_size = 12345;
	fake.log_oldest = 45;
	n.c[0].log = n.c[1].log = log;
	n.c[1].status.state = C_TERMINATED;
	n.cfg.image_gc_high = 100;
	has(show_df, "Images   1       1        3.0M    0 (0%)\n"
		     "Logs     2       1        24.0K   12.0K (50%)\n");
	has(show_df, "0%     never\n");
	node_set(&n, &n.c[1], "image", "other");
	has(show_df, "Images   1       0        3.0M    3.0M (100%)\n");
}

static void image_paths(void **state)
{
	static const struct {
		const char *reference, *path, *back; /* back NULL: the reference */
	} t[] = {
		{ "nginx", "nginx", NULL },
		{ "localhost:5000/a/b:1", "localhost:5000/a/b:1", NULL },
		{ "docker://nginx", "docker:/nginx", NULL },
		{ "docker://localhost:5000/a:1", "docker:/localhost:5000/a:1", NULL },
		{ "oci:/srv/x:1", "oci:/srv/x:1", NULL },
		{ "oci:/srv//x/", "oci:/srv/x", "oci:/srv/x" },
		{ "oci:/srv/x:", "oci:/srv/x:", NULL },
		{ "containers-storage:[overlay@/a+/b]x:1", "containers-storage:[overlay@/a+/b]x:1", NULL },
		{ "oci:/srv///x", "oci:/srv/x", "oci:/srv/x" },
	};
	char path[IMAGE_PATH_MAX], back[IMAGE_PATH_MAX];
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_true(image_path_of(t[i].reference, path));
		assert_string_equal(path, t[i].path);
		image_reference_of(path, back);
		assert_string_equal(back, t[i].back ? t[i].back : t[i].reference);
	}
	char longest[IMAGE_PATH_MAX + 1];
	memset(longest, 'a', sizeof longest - 1);
	longest[IMAGE_PATH_MAX] = 0;
	assert_false(image_path_of(longest, path));
	longest[IMAGE_PATH_MAX - 1] = 0;
	assert_true(image_path_of(longest, path));
}

static void image_by_path(void **state)
{
	struct image i = busybox;
	struct pull p = nginx;
	fake.image = &i;
	fake.pulls = &p;
	i.written = (char *)"oci:/srv//x";
	i.canonical = (char *)"oci:/srv/x";
	p.reference = p.canonical = (char *)"oci:/srv/y";
	assert_ptr_equal(image_at(&n.en, "oci:/srv/x"), &i);
	assert_ptr_equal(image_at(&n.en, "oci:/srv/x:"), &i);
	assert_ptr_equal(image_pull_at(&n.en, "oci:/srv/y"), &p);
	assert_ptr_equal(image_pull_at(&n.en, "oci:/srv/y:"), &p);
	assert_null(image_at(&n.en, "oci:/srv/y"));
	assert_null(image_pull_at(&n.en, "oci:/srv/x"));
	struct image_names it;
	image_names_begin(&it, &n.en);
	assert_true(image_names_next(&it));
	assert_null(it.pull);
	assert_string_equal(it.written, "oci:/srv/x");
	assert_true(image_names_next(&it));
	assert_ptr_equal(it.pull, &p);
	assert_string_equal(it.canonical, "oci:/srv/y");
	assert_false(image_names_next(&it));
}

static void state_of_pulls(void **state)
{
	struct container_status *s = &n.c[0].status;
	n.c[0].pull = &nginx;
	reads(&n.c[0], show_state, "running: nginx:alpine: so far fine\n"); /* the run before */
	*s = (struct container_status){ .state = C_WAITING, .exit_code = -1 };
	strcpy(s->reason, "ErrImagePull");
	strcpy(s->message, "no such tag");
	s->next_ns = now_real_ns();
	reads(&n.c[0], show_state, "waiting ErrImagePull: nginx:alpine: so far fine\n");
	word("ErrImagePull");
}

static void describe(void **state)
{
	node_set(&n, NULL, "labels", "app=web\ntier=front\n");
	node_set(&n, NULL, "memory.max", "256M");
	node_set(&n, &n.c[1], "command", "sh -c 'echo 1'");
	node_set(&n, &n.c[1], "cpu.max", "500m");
	n.c[1].status.state = C_TERMINATED;
	n.c[1].status.exit_code = 137;
	n.c[1].status.signal = 9;
	n.c[1].status.pid = 0;
	strcpy(n.c[1].status.reason, "OOMKilled");
	fake.use = (struct cg_use){ .memory = 4096, .cpu_usec = 1002003, .pids = 1 };
	ring_line(&n.pod.events, "first");
	for (int i = 0; i < 20; i++)
		ring_line(&n.pod.events, "again");
	has(show_describe, "Name:             web\nUID:              01234567-89ab-4def-8123-456789abcdef\n"
			   "Owner:            root:root (mode 0755)\n");
	has(show_describe, "Labels:           app=web\n                  tier=front\nAnnotations:      <none>\n");
	has(show_describe, "Why:              because of web\nIP:               10.213.0.5\n"
			   "IPs:              10.213.0.5\n                  fd00::5\n"
			   "Network:          bridge\nPorts:            <none>\nHostname:         web\n");
	has(show_describe, "Grace Period:     30s\nShare:            ipc net uts\n");
	has(show_describe, "Limits:           memory.max 268435456\n");
	has(show_describe, "Use:              memory 4Ki, cpu 1.002 s, pids 1\n");
	has(show_describe, "Containers:\n  nginx:\n    Image:            nginx:alpine\n");
	has(show_describe, "    Image ID:         <none>\n    Pull Policy:      IfNotPresent\n");
	has(show_describe, "    Command:          <of the image>\n    Args:             <of the image>\n");
	has(show_describe, "    Command:          sh -c 'echo 1'\n    Args:             <none>\n");
	has(show_describe, "    State:            Terminated\n    Reason:           OOMKilled\n");
	has(show_describe, "    Exit Code:        137\n    Signal:           SIGKILL\n");
	n.c[0].status.last = (struct run_end){ .exit_code = 143, .signal = 15, .reason = "Error", .finished_ns = 1767225601000000000 };
	has(show_describe, "    Last State:       Terminated\n      Reason:         Error\n      Exit Code:      143\n"
			   "      Signal:         SIGTERM\n      Finished:       2026-01-01T00:00:01Z (");
	has(show_describe, "    Limits:           cpu.max 50000 100000\n");
	has(show_describe, "Events:\n  again\n");
	_cleanup_free_ char *got = shown(&n, NULL, show_describe);
	assert_null(strstr(got, "first"));
	assert_string_equal(got + strlen(got) - 8, "  again\n");
}

static void describe_network(void **state)
{
	strs_free(&n.pod.spec->ip);
	node_set(&n, NULL, "network", "cni:x");
	node_set(&n, NULL, "ports", "80:80\n53:53/udp\n");
	node_set(&n, NULL, "net.egress", "1M");
	strcpy(n.pod.net.why, "no plugin");
	has(show_describe, "IP:               <none>\nIPs:              <none>\n"
			   "Network:          cni:x: no plugin\nPorts:            80:80/tcp\n                  53:53/udp\n");
	has(show_describe, "Limits:           net.egress 1048576\n");
}

static void describe_pull(void **state)
{
	struct container_status *s = &n.c[0].status;
	*s = (struct container_status){ .state = C_WAITING, .exit_code = -1, .root_fd = -1 };
	strcpy(s->reason, "ImagePullBackOff");
	strcpy(s->message, "no such tag");
	n.c[0].pull = &nginx;
	node_set(&n, &n.c[0], "pull", "Always");
	has(show_describe, "    Pull Policy:      Always\n");
	has(show_describe, "    State:            Waiting\n    Reason:           ImagePullBackOff\n"
			   "    Message:          no such tag\n    Pull:             so far fine\n");
	struct pull late = { .state = PULL_BACKOFF, .next_ns = now_real_ns() + 8900000000 };
	n.c[0].pull = &late;
	has(show_describe, "    Message:          no such tag\n    Pull:             next try in 9 s\n");
}

static void describe_empty(void **state)
{
	n.pod.ncontainers = 0;
	has(show_describe, "Containers:       <none>\nEvents:           <none>\n");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ages),   T(tables),  T(empty_cells), T(status_column), T(state_line),    T(numbers),       T(one_liners),
		T(uses),   T(config),  T(network), T(leaving),     T(top),           T(image),         T(pulls),         T(df),
		T(image_paths), T(image_by_path), T(state_of_pulls), T(describe), T(describe_network), T(describe_pull), T(describe_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
