/* See groups.h. */
#include "groups.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int fixture_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct err e = { 0 };
	if (!f)
		return -1;
	snprintf(f->parent, sizeof f->parent, "podfs-test-%d", (int)getpid());
	int r = geteuid() ? err_set(&e, EPERM, "not root") : cg_open(f->parent, &f->h, &e);
	if (!r)
		r = cg_create(f->h, TEST_UID, NULL, &e);
	if (r) {
		printf("skipped: %s\n", e.text);
		cg_close(f->h);
		free(f);
		*state = NULL;
		return 0;
	}
	f->pod = pod_spec_new();
	snprintf(f->pod->uid, sizeof f->pod->uid, "%s", TEST_UID);
	*state = f;
	return 0;
}

int fixture_down(void **state)
{
	struct fixture *f = *state;
	if (!f)
		return 0;
	int r = destroy(f);
	cg_close(f->h);
	pod_spec_free(f->pod);
	free(f);
	return r;
}

struct container_spec *add_container(struct fixture *f, const char *name, uint64_t serial)
{
	char id[CONTAINER_ID_MAX];
	struct container_spec *c = pod_spec_add(f->pod, name);
	if (!c)
		return NULL;
	c->serial = serial;
	container_spec_id(c, id);
	return cg_create(f->h, TEST_UID, id, NULL) ? NULL : c;
}

const char *raw(struct fixture *f, const struct container_spec *c, enum cg_ctl ctl, const char *file)
{
	static char text[8192];
	char id[CONTAINER_ID_MAX];
	struct spec_ref r = { f->pod, (struct container_spec *)c };
	const struct cg_group g = cg_group_of(f->h, r, id);
	_cleanup_buf_ struct buf b = { 0 };
	int result = cg_read(&g, ctl, file, &b);
	snprintf(text, sizeof text, "%s", result ? strerror(-result) : buf_str(&b));
	if (strlen(text))
		text[strlen(text) - 1] = 0;
	return text;
}

uint64_t raw_u64(struct fixture *f, const struct container_spec *c, enum cg_ctl ctl, const char *file)
{
	return strtoull(raw(f, c, ctl, file), NULL, 10);
}

int apply(struct fixture *f, struct container_spec *c, const char *file)
{
	struct cg_writes w = { 0 };
	struct err e = { 0 };
	int r = cg_limit(f->h, (struct spec_ref){ f->pod, c }, file, &w, &e);
	if (r)
		printf("%s\n", e.text);
	for (size_t i = 0; !r && i < w.n; i++) {
		r = write_file(w.v[i].path, w.v[i].value, strlen(w.v[i].value));
		if (r)
			printf("%s <- %s: %s\n", w.v[i].path, w.v[i].value, strerror(-r));
	}
	cg_writes_free(&w);
	return r;
}

void set_cpu(struct limits *l, uint64_t quota, uint64_t period)
{
	l->has_cpu_max = true;
	l->cpu_quota = quota;
	l->cpu_period = period;
}

static int enter(struct fixture *f, const char *id)
{
	struct strs dirs = { 0 };
	char path[PATH_MAX];
	int r = cg_dirs(f->h, TEST_UID, id, &dirs);
	for (size_t i = 0; !r && i < dirs.n; i++) {
		snprintf(path, sizeof path, "%s/%s", dirs.v[i], cg_version(f->h) == 2 ? "cgroup.procs" : "tasks");
		r = write_file(path, "0", 1);
	}
	strs_free(&dirs);
	return r;
}

pid_t run_in(struct fixture *f, const char *id, void (*fn)(void *arg), void *arg)
{
	int ready[2];
	char ok = 0;
	if (pipe2(ready, O_CLOEXEC))
		return -1;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (enter(f, id))
			_exit(99);
		if (write(ready[1], "1", 1) != 1)
			_exit(98);
		if (fn)
			fn(arg);
		for (;;)
			pause();
	}
	close(ready[1]);
	ssize_t n = read(ready[0], &ok, 1);
	close(ready[0]);
	return n == 1 ? pid : -1;
}

int reap(pid_t pid)
{
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int destroy(struct fixture *f)
{
	int r = -EBUSY;
	/* A group is busy for an instant after its last process was reaped. */
	for (int i = 0; r == -EBUSY && i < 1000; i++) {
		r = cg_destroy(f->h, TEST_UID);
		sched_yield();
	}
	return r;
}
