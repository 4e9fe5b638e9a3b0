/* Puts a container's processes back into its cgroups, out of which others took them.
 *
 * A child's work: it looks at every process of the host. They are known by their PID namespace, so this can't be done where
 * containers share one. Again and again, until there are no new ones: what a process begets before it is moved is where it was.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 20

struct gather {
	struct pod *pod;
	struct container *container; /* valid in the child only */
	struct asker asker;
};

static bool lives_in(const char *pid, const char *ns)
{
	char path[64], its[64] = "";
	snprintf(path, sizeof path, "/proc/%.20s/ns/pid", pid);
	return readlink(path, its, sizeof its - 1) > 0 && !strcmp(its, ns);
}

static int put_back(const struct wire_in *plan, const char *pid, struct err *e)
{
	const char *dir;
	for (unsigned i = 0; (dir = plan_nth(plan, K_CGDIR, i)); i++) {
		char path[PATH_MAX];
		snprintf(path, sizeof path, "%s/cgroup.procs", dir);
		int r = write_file(path, pid, strlen(pid));
		if (r && r != -ESRCH)
			return err_sys(e, -r, "%s", path);
	}
	return 0;
}

struct moved {
	int *pids;
	size_t n;
};

/* True: it is a new one. */
static bool add(struct moved *m, int pid)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->pids[i] == pid)
			return false;
	int *more = realloc(m->pids, (m->n + 1) * sizeof *more);
	if (!more)
		return false;
	m->pids = more;
	m->pids[m->n++] = pid;
	return true;
}

static int one_round(const struct wire_in *plan, const char *ns, struct moved *m, struct err *e)
{
	_cleanup_dir_ DIR *d = opendir("/proc");
	struct dirent *de;
	int r = d ? 0 : err_sys(e, errno, "/proc");
	while (!r && (de = readdir(d)))
		if (*de->d_name >= '0' && *de->d_name <= '9' && lives_in(de->d_name, ns) && add(m, atoi(de->d_name)))
			r = put_back(plan, de->d_name, e);
	return r;
}

static int gather(void *arg, struct err *e)
{
	const struct gather *g = arg;
	struct wire_in plan = plan_view(g->container->plan);
	struct moved m = { 0 };
	char path[64], ns[64] = "";
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)g->container->init.pid);
	if (readlink(path, ns, sizeof ns - 1) <= 0)
		return err_sys(e, errno, "%s", path);
	size_t before;
	int r = 0, rounds = 0;
	do {
		before = m.n;
		r = one_round(&plan, ns, &m, e);
	} while (!r && m.n > before && ++rounds < ROUNDS_MAX);
	free(m.pids);
	return r;
}

static void gathered(void *arg, const struct err *e)
{
	struct gather *g = arg;
	link_reply(g->pod, &g->asker, -e->code, e);
	free(g);
}

int gather_begin(struct container *c, struct asker a, struct err *e)
{
	if (!c->init.pid)
		return err_set(e, ESRCH, "container %s does not run", c->label);
	if (c->shared_pid)
		return err_set(e, EOPNOTSUPP, "it shares a PID namespace, so which processes are its own nobody can tell");
	struct gather *g = malloc(sizeof *g);
	if (!g)
		return err_set(e, ENOMEM, "out of memory");
	*g = (struct gather){ c->pod, c, a };
	job_start(c->pod, gather, gathered, g);
	return 0;
}
