/* A podfs-pod that lives and cannot be reached: its socket's name is gone, or it takes no more connections.
 *
 * It is asked for its socket (runtime/wire/door.h) and tried again. Meanwhile its pod is shown as it was known last, and there is
 * never a second podfs-pod beside it. Once it has ended, the pod is one without, as any. Also the folder of sockets itself, which somebody
 * may have taken away. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include "runtime/base/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define TRY_MS 20
#define TRIES 50 /* then people are told */
#define SLOW_MS 1000
#define LINE 500
#define OVERDUE_NS (5 * 1000000000ull) /* after the grace period of a removed pod */

pid_t reach_pid(const struct pod *p)
{
	return alive_pid(p->engine->priv->alive_fd, p->spec->uid);
}

static void leak_text(const struct pod *p, char out[LINE])
{
	snprintf(out, LINE, "%s %s: %s", p->spec->name, p->spec->uid, p->trouble);
}

static void say(struct pod *p, pid_t pid)
{
	char line[LINE];
	snprintf(p->trouble, sizeof p->trouble, "its podfs-pod (pid %d) lives, but can't be reached at %.150s/%s.sock", (int)pid,
		 p->engine->cfg->run, p->spec->uid);
	leak_text(p, line);
	ring_line(&p->engine->leaks, line);
	engine_event(p->engine, p, NULL, "%s", p->trouble);
	engine_changed(p->engine, p, CHANGE_STATE);
}

static void unsay(struct pod *p)
{
	char line[LINE];
	if (!*p->trouble)
		return;
	leak_text(p, line);
	ring_forget(&p->engine->leaks, line);
	p->trouble[0] = 0;
	engine_changed(p->engine, p, CHANGE_STATE);
}

/* It has been removed and its time is over; nobody else will end it. */
static void end_if_overdue(struct pod *p)
{
	if (p->leaving && now_mono_ns() > p->leave_by_ns + OVERDUE_NS)
		alive_signal(p->engine->priv->alive_fd, p->spec->uid, SIGKILL);
}

static void on_reach(struct timer *t)
{
	struct pod_link *l = container_of(t, struct pod_link, reach);
	struct pod *p = l->pod;
	pid_t pid = reach_pid(p);
	if (pod_reconnect(p)) {
		unsay(p);
		return;
	}
	if (!pid) {
		unsay(p);
		pod_settled(p);
		pod_without(p);
		return;
	}
	alive_signal(p->engine->priv->alive_fd, p->spec->uid, SIGHUP);
	if (++l->reach_tries == TRIES)
		say(p, pid);
	end_if_overdue(p);
	timer_arm(p->engine->loop, t, l->reach_tries < TRIES ? TRY_MS : SLOW_MS);
}

bool reach_begin(struct pod *p)
{
	struct pod_link *l = p->link;
	if (!reach_pid(p))
		return false;
	if (l->reach.at_ns)
		return true;
	pod_unsettled(p);
	l->reach.fn = on_reach;
	l->reach_tries = 0;
	alive_signal(p->engine->priv->alive_fd, p->spec->uid, SIGHUP);
	timer_arm(p->engine->loop, &l->reach, TRY_MS);
	return true;
}

int reach_none(const struct pod *p, struct err *e)
{
	pid_t pid = reach_pid(p);
	if (!pid)
		return 0;
	return err_set(e, EBUSY, "pod %s: its podfs-pod (pid %d) lives, but can't be reached: there will be no second one beside it",
		       p->spec->name, (int)pid);
}

/* --- the folder --- */

static bool is_same(int fd, const char *path)
{
	struct stat named, ours;
	return !stat(path, &named) && !fstat(fd, &ours) && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

int run_folder(struct engine *en, struct err *e)
{
	const char *path = en->cfg->run;
	if (is_same(en->run_fd, path))
		return 0;
	int r = mkdir_all(path, 0700);
	int fd = r ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, r ? -r : errno, "%s", path);
	close_fd(&en->run_fd);
	en->run_fd = fd;
	return 0;
}
