/* Kills a program of podfs at a system call that leaves a trace: on disk, in a cgroup, on a socket.
 *
 *   crashat CLASS N caller|program PID…
 *
 * Attaches to the processes, and follows what they start. CLASS is the program that is meant, by the name of its file. Counts its
 * calls of the list below, and at the Nth, before it is done, kills the process that makes it, or the whole program (its first
 * process and the one that makes it, where that is a child). Says `ready`, then `killed NAME` or, at SIGTERM,
 * `counted N`. Lets go of what it has not killed. A program of a container is no business of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

enum { TRACED_MAX = 1024 };
static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;

static const struct call {
	long number;
	const char *name;
} calls[] = {
	{ SYS_mkdirat, "mkdirat" }, { SYS_renameat, "renameat" }, { SYS_renameat2, "renameat2" }, { SYS_unlinkat, "unlinkat" },
	{ SYS_fsync, "fsync" }, { SYS_ftruncate, "ftruncate" }, { SYS_openat, "openat" }, { SYS_write, "write" },
	{ SYS_writev, "writev" }, { SYS_pwrite64, "pwrite64" }, { SYS_sendmsg, "sendmsg" }, { SYS_bind, "bind" },
	{ SYS_connect, "connect" }, { SYS_setxattr, "setxattr" }, { SYS_fsetxattr, "fsetxattr" }, { SYS_clone, "clone" },
	{ SYS_linkat, "linkat" }, { SYS_symlinkat, "symlinkat" }, { SYS_unshare, "unshare" }, { SYS_sendto, "sendto" },
#ifdef SYS_mkdir
	{ SYS_mkdir, "mkdir" }, { SYS_rename, "rename" }, { SYS_rmdir, "rmdir" }, { SYS_unlink, "unlink" }, { SYS_open, "open" },
	{ SYS_vfork, "vfork" },
#endif
};

/* first: the process of its program that was executed; the others are its children. */
struct traced {
	pid_t pid, first;
	bool meant, seen;
};

static struct traced traced[TRACED_MAX];
static size_t ntraced;
static const char *meant_name;
static long at, count;
static bool whole;

static struct traced *find(pid_t pid)
{
	for (size_t i = 0; i < ntraced; i++)
		if (traced[i].pid == pid)
			return &traced[i];
	return NULL;
}

static struct traced *add(pid_t pid, const struct traced *parent)
{
	struct traced *t = find(pid);
	if (!t && ntraced < TRACED_MAX)
		t = &traced[ntraced++];
	if (t && parent)
		*t = (struct traced){ pid, parent->first, parent->meant, true };
	else if (t && t->pid != pid)
		*t = (struct traced){ .pid = pid };
	return t;
}

static void forget(struct traced *t)
{
	*t = traced[--ntraced];
}

/* The program that runs now. False: it is none of podfs. */
static bool look(struct traced *t)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/%d/exe", t->pid);
	ssize_t n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	path[strcspn(path, " ")] = 0; /* " (deleted)" */
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	t->first = t->pid;
	t->meant = !strcmp(name, meant_name);
	t->seen = true;
	return !strncmp(name, "podfs-", 6);
}

static const char *trace_of(const struct traced *t)
{
	struct ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return NULL;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (calls[i].number != (long)info.entry.nr)
			continue;
		int flags = info.entry.nr == SYS_openat ? (int)info.entry.args[2] :
#ifdef SYS_open
			info.entry.nr == SYS_open ? (int)info.entry.args[1] :
#endif
			O_CREAT;
		return flags & O_CREAT ? calls[i].name : NULL;
	}
	return NULL;
}

static _Noreturn void done(const char *what, const char *name)
{
	printf("%s %s\n", what, name);
	exit(0);
}

static void on_call(const struct traced *t)
{
	const char *name = t->meant ? trace_of(t) : NULL;
	if (!name || ++count != at)
		return;
	pid_t first = t->first;
	kill(t->pid, SIGKILL);
	if (whole)
		kill(first, SIGKILL);
	done("killed", name);
}

static void go_on(pid_t pid, int sig)
{
	ptrace(PTRACE_SYSCALL, pid, 0, (long)sig);
}

static void on_stop(struct traced *t, int status)
{
	pid_t pid = t->pid;
	int sig = WSTOPSIG(status), event = status >> 16;
	unsigned long child = 0;
	if (sig == (SIGTRAP | 0x80)) {
		on_call(t);
	} else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
		ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
		add((pid_t)child, t);
	} else if (event == PTRACE_EVENT_EXEC && !look(t)) {
		ptrace(PTRACE_DETACH, pid, 0, 0);
		forget(t);
		return;
	} else if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)) {
		ptrace(PTRACE_LISTEN, pid, 0, 0);
		return;
	}
	go_on(pid, event || sig == (SIGTRAP | 0x80) ? 0 : sig);
}

/* A child may stop before its parent has told of it: its stop is kept for later by not going on. */
static void on_wait(pid_t pid, int status)
{
	struct traced *t = find(pid);
	if (WIFEXITED(status) || WIFSIGNALED(status)) {
		if (t)
			forget(t);
		return;
	}
	if (!t)
		t = add(pid, NULL);
	if (t && !t->seen && look(t) == false)
		t->first = pid;
	if (t)
		on_stop(t, status);
}

static void attach(const char *arg)
{
	pid_t pid = (pid_t)atoi(arg);
	struct traced *t = add(pid, NULL);
	if (!t || ptrace(PTRACE_SEIZE, pid, 0, options)) {
		fprintf(stderr, "crashat: %s: %s\n", arg, strerror(errno));
		exit(1);
	}
	look(t);
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
}

static volatile sig_atomic_t over;

static void on_input(int sig)
{
	(void)sig;
	over = 1;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	meant_name = argv[1];
	at = atol(argv[2]);
	whole = !strcmp(argv[3], "program");
	struct sigaction act = { .sa_handler = on_input }; /* no SA_RESTART: it ends the wait */
	sigaction(SIGTERM, &act, NULL);
	for (int i = 4; i < argc; i++)
		attach(argv[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready\n");
	while (!over) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid > 0)
			on_wait(pid, status);
		else if (errno != EINTR)
			break;
	}
	char text[24];
	snprintf(text, sizeof text, "%ld", count);
	done("counted", text);
}
