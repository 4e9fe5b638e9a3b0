/* podfs-pod from the inside: what its files share.
 *
 * One process a pod. It holds the pod's IPC, network and UTS namespaces by living in them, and
 * does what must go on without a server: launch, reap, restart, stop, logs, exec, removal.
 * It never waits in its loop: what takes time is a child's work (child.h) and ends in an event.
 *
 * Memory is what a pod costs, so: no big arrays, nothing kept that can be read again, texts of a
 * message live in a mapping that is given back.
 */
#ifndef PODFS_POD_POD_H
#define PODFS_POD_POD_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/util.h"
#include "runtime/log/log.h"
#include "runtime/pod/child.h"
#include "runtime/spec/spec.h"
#include "runtime/wire/door.h"
#include "runtime/wire/queue.h"

#include <limits.h>
#include <sys/types.h>

#define SKELETON "skeleton" /* in STATE: the lowest layer of every root, with what is mounted upon: /proc, /etc/hosts … */
#define EXIT_NOT_FOUND 127 /* POSIX shell, 2.8.2: exit status for commands */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_START_FAILED 128 /* kubelet's StartError */

struct pod;

/* Who asked, so that the answer finds its way: an answer to a server that is gone goes nowhere. */
struct asker {
	uint32_t link; /* number of the connection */
	uint32_t seq;  /* 0: nobody waits */
	uint32_t record; /* number of the record that came along; 0: none */
	uint64_t asked;  /* K_ASKED */
};

/* Restart policy and patience; a container has its own copy. */
struct policy {
	enum restart_policy restart;
	uint32_t grace_s;
	uint64_t base_ms, cap_ms, reset_ms;
};

/* The fields of a W_START or W_ADD, kept as they came: the child reads them where they lie. */
struct plan {
	size_t len;
	int *held;            /* folders of the store's layers, each under a shared lock */
	unsigned nheld;
	char fields[];
};

/* life.c holds the table of these. */
enum life { DEFINED, STARTING, RUNNING, PAUSED, STOPPING, RESTARTING, BACKOFF, ENDED, DROPPING, LIFE_STATES };
enum life_event { ON_START, ON_UP, ON_EXIT, ON_STOP, ON_TIMER, ON_DROP, ON_PAUSE, ON_UNPAUSE, LIFE_EVENTS };

/* One of a container's output pipes. */
struct output {
	struct watch watch; /* fd: our end, nonblocking; -1: at its end */
	enum log_stream stream;
	struct container *container;
	bool large;         /* the pipe was enlarged */
};

/* What is known of a running container's mounts (mounts.c). */
struct mounts {
	struct watch watch;  /* fd -1: they are not watched */
	uint32_t *marks;     /* one for each that was there when it came up */
	unsigned n, places, gone;
	struct timer timer;  /* after the end of the run, until the descriptor is let go */
};

/* How a run ended. */
struct run_end {
	int code; /* -1: there was none */
	int signal;
	uint64_t started_ns, finished_ns;
	char reason[32];
};

struct container {
	struct pod *pod;
	struct container *next;
	char name[SPEC_NAME_MAX + 65];  /* the server's id of it, NAME.SERIAL: also the name of its folders */
	char label[SPEC_NAME_MAX + 1];  /* NAME: for sentences */
	enum life state;
	bool draining;        /* its processes are gone, its pipes not yet empty */
	bool sent_kill;       /* SIGKILL came from us: then it was not the OOM killer */
	bool oom_killed;
	bool failed;          /* this run never got to its command; failure says why, if there was memory for it */
	bool shared_pid;      /* this run lives in the reaper's PID namespace */
	bool leak_told, log_open;
	bool inherited;       /* what is told is an earlier podfs-pod's last run: its reason and words stand in the plan */
	uint32_t grace_s;     /* of the stop that is under way */
	struct plan *plan, *want; /* what runs or ran; what is to be started next */
	struct asker asker, want_asker;
	struct policy policy;
	struct timer timer;   /* grace, then patience after SIGKILL, or backoff */
	struct timer sweep;   /* repeats what a cgroup was not ready for */
	unsigned sweeps;

	struct child init;
	struct watch status;  /* the child's report during a launch */
	struct err *failure;
	int failure_code;     /* 126, 127, 128 */
	struct output out[2];
	struct log_writer log;
	int log_told;         /* errno of the log's trouble as it was told; 0: none */
	uint64_t log_dropped; /* bytes that had been dropped before */
	struct timer log_well; /* then it is over, if it has not come back */
	struct mounts mounts;
	char *trouble;        /* what others took from this run, for people; NULL: nothing */
	int root_fd;          /* of the newest run that came up, -1: none */
	unsigned run, root_run; /* numbers of folders: being launched or running; the one behind root_fd. 0: none */
	int old_root;         /* of the run before, until its folder is removed; -1: none */
	unsigned old_run;
	struct timer tidy;    /* then */

	int exit_code;        /* -1: has not ended yet */
	int exit_signal;
	struct run_end last;  /* of the run before; of one that runs or waits: the one that ended last */
	unsigned restarts, tries; /* tries: restarts since it last ran long */
	uint64_t started_ns, finished_ns, next_ns; /* CLOCK_REALTIME; 0: never */
	uint64_t kill_ns;     /* likewise: of the SIGKILL, while it is being stopped */
	uint64_t up_mono_ns;
	uint64_t oom_before;
};

struct session {
	struct pod *pod;
	struct session *next;
	uint64_t serial;
	char container[sizeof ((struct container *)0)->name];
	struct child child;
	struct watch status;
	struct asker asker;
	int fds[3];           /* duplicates of the server's ends: in, out, err, or the terminal's master */
	int nfds;
	int group;            /* pidfd of the leader that outlives its reaping */
	bool tty, came_up, ended, forgotten;
	int code;
	struct err *failure;  /* of the launch */
	int failure_code;     /* 126, 127: of the command; 128: of what comes before it */
	struct timer timer;
};

struct link {
	struct watch watch;
	uint32_t number;      /* grows with each server */
	struct wire_queue queue;
	void *mem;            /* of the request being handled; NULL: none */
	bool mute;            /* it has died; what it had asked is still read */
};

struct pod {
	struct loop loop;
	const char *uid, *name, *state, *run;
	char hostname[65];
	bool remove_only, standing, share_pid;
	bool has_run;         /* a container of it has: its network is what it is */
	bool leaving;
	uint64_t leave_by_ns; /* CLOCK_MONOTONIC */
	int pods_fd;          /* STATE/pods */
	int dir_fd;           /* STATE/pods/UID */
	int alive_fd;         /* never closed: base/alive.h */
	int self;             /* our own pidfd: the way back into our PID namespace, and a child's proof that we live */
	uint32_t record;      /* number of the newest record */
	bool oom_lowered;     /* then children get oom_score back */
	int oom_score;
	const char *note;     /* what could not be had; NULL */
	struct plan *groups;  /* K_CGDIR and K_CGVERSION of the pod itself */
	struct plan *etc;     /* K_HOSTNAME K_HOSTS K_RESOLV: what is in etc/, or is to be */
	bool etc_unwritten;   /* the latter */
	struct policy policy;
	struct link link;
	struct door door;
	struct child reaper;
	int reaper_sock;      /* its report is still to come; -1: it stands, or there is none */
	struct timer idle;    /* gives back memory that only a busy moment needed */
	struct container *containers;
	struct session *sessions;
	struct note *notes;
	struct job *jobs;
	struct leak *leaks;
	unsigned nleaks;
	struct timer timer;   /* of the removal */
	unsigned tries;
	int stage;            /* of the removal */
};
extern struct pod pod_self; /* there is one a process */
extern const int pod_ignores[3]; /* signals; a child gets their default back */

/* --- server_link.c --- */
int link_open(struct pod *p, int fd);
int link_listen(struct pod *p, struct err *e);
void link_close(struct pod *p);
bool link_hung_up(const struct pod *p); /* the server is gone, though not all that it said has been read */
/* Queues when the server is slow; the descriptors are duplicated then. o is reset. */
void link_send(struct pod *p, struct wire_out *o);
/* Tries to send what is queued for at most ms milliseconds: only before the end. */
void link_flush(struct pod *p, int ms);
struct asker link_asker(const struct pod *p, uint32_t seq);
/* Answers a request, once: a is emptied. e NULL or without text: strerror. */
void link_reply(struct pod *p, struct asker *a, int result, const struct err *e);
/* Of a command that could not be executed; code is the shell's exit status for that. */
void link_reply_exit(struct pod *p, struct asker *a, int code, const struct err *e);
void link_reply_fds(struct pod *p, struct asker *a, const int *fds, int n);
void link_event(struct pod *p, enum wire_op op, const char *container, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* --- memory.c --- */
void memory_keep_small(void);
void memory_trim_later(struct pod *p);
/* Gives back all but what is executed: for a process that only waits from here on. */
_Noreturn void memory_wait_forever(void);

/* --- requests.c: one row an op --- */
void request_handle(struct pod *p, struct wire_in *in);

/* --- main.c --- */
int pods_open(struct pod *p, struct err *e); /* STATE/pods */

/* --- sandbox.c --- */
/* What needs no word from the server: while it still waits for the pod's network. */
int sandbox_begin(struct pod *p, struct err *e);
int sandbox_make(struct pod *p, const struct wire_in *in, struct err *e);
void sandbox_made(struct pod *p, const struct wire_in *in); /* what nobody needs to wait for */
void sandbox_unmake(struct pod *p); /* one that never stood */
int sandbox_folder(struct pod *p, struct err *e); /* is there; made anew where others have removed it */
int sandbox_hostname(struct pod *p, const struct wire_in *in, struct err *e);

/* --- etc.c --- */
/* The files that containers have in /etc, with the texts of W_SANDBOX. Failing, it is tried again by etc_need. */
void etc_make(struct pod *p, const struct wire_in *in);
/* Before a start: makes what is not there, or not any more. */
int etc_need(struct pod *p, struct err *e);
/* K_HOSTNAME, K_HOSTS and K_RESOLV, those that the message has: all or none. Running containers see them. */
int etc_write(struct pod *p, const struct wire_in *in, struct err *e);

/* --- netns.c --- */
int netns_enter(int fd, struct err *e); /* -1: a new one, lo up */
int netns_open(struct err *e); /* a descriptor of the one that we live in, or -errno */
/* W_NET: to the one that came along, or a new one. */
int netns_move(struct pod *p, const struct wire_in *in, struct err *e);

/* --- reaper.c --- */
/* Begins to make it when there is none; reaper_need waits until it stands. */
int reaper_begin(struct pod *p, struct err *e);
int reaper_need(struct pod *p, struct err *e);
/* It is dying: nothing can start in its PID namespace, and no other reaper be made until its end has been seen in the loop. */
bool reaper_ends(const struct pod *p);
/* Before anything lives in its PID namespace: it is gone on return. */
int reaper_end(struct pod *p, struct err *e);

/* --- record.c --- */
/* Makes it durable; the old one stays at hand until record_settle. */
int record_put(int dir_fd, const char *text, size_t len, struct err *e);
void record_settle(int dir_fd, bool keep);
int record_leave(int dir_fd, struct err *e); /* the pod is one that leaves */

/* --- plan.c --- */
struct plan *plan_new(const struct wire_in *in); /* NULL: no memory */
/* Only the texts of etc/, which plan_new leaves out; those that `in` has not are old's. */
struct plan *plan_etc(const struct wire_in *in, const struct plan *old);
void plan_free(struct plan *pl); /* NULL is fine */
/* With K_HOLD: nobody removes a layer of it while the plan is kept. -ESTALE: one is gone already. */
int plan_hold(struct plan *pl, struct err *e);
struct wire_in plan_view(const struct plan *pl); /* NULL: without fields */
/* The nth field with that key, or NULL. */
const char *plan_nth(const struct wire_in *in, enum wire_key key, unsigned n);
void policy_take(struct policy *po, const struct wire_in *in);

/* --- container.c --- */
struct container *container_find(struct pod *p, const char *name);
struct container *container_new(struct pod *p, const char *name);
void container_free(struct container *c);
/* Makes the next run's folders in a child. */
void container_prepare(struct container *c);
void container_tell(struct container *c);
/* A run came up: its root takes the place of the one before, whose folder is removed soon. Takes fd. */
void container_new_root(struct container *c, int fd);
/* A run did not: its folder is removed. */
void container_failed_run(struct container *c);
/* Takes the kernel's and the disk's part of a dropped container away; ends in W_DROPPED. */
void container_dispose(struct container *c);

/* --- life.c --- */
void life_init(struct container *c);
/* 0, or -errno: the state does not allow it. A start is answered through c->asker. */
int life_event(struct container *c, enum life_event ev, struct err *e);
void life_policy(struct container *c); /* its policy is another */

/* --- start.c: a run of a container from the parent's side --- */
void container_start(struct container *c);
int container_signal(struct container *c, int sig);

/* --- logs.c --- */
int logs_open(struct container *c, struct err *e);
/* Makes both pipes; theirs: the child's ends. */
int logs_pipes(struct container *c, int theirs[2], struct err *e);
void logs_watch(struct container *c);
void logs_close_pipes(struct container *c);
void logs_put_trouble(const struct container *c, struct wire_out *o); /* K_TROUBLE */
/* The processes are gone: what is in the pipes is all there will be. ON_EXIT follows. */
void logs_drain(struct container *c);

/* --- mounts.c --- */
void mounts_watch(struct container *c); /* it came up */
void mounts_unwatch(struct container *c); /* it ended; the descriptor is let go a moment later */
void mounts_release(struct container *c); /* now */

/* --- exec.c --- */
/* 0: a is answered later. */
int session_start(struct pod *p, const struct wire_in *in, struct asker a, struct err *e);
struct session *session_find(struct pod *p, uint64_t serial);
void session_close_in(struct session *s);
/* Hangs up, kills later, forgets it. */
void session_end(struct session *s);
void sessions_end_all(struct pod *p);
void sessions_free_ended(struct pod *p);
void session_put(const struct session *s, struct wire_out *o, bool with_fds);

/* --- leak.c: what could not be freed; each server is told --- */
void leak_process(struct container *c, int pid); /* until leak_ended */
void leak_ended(const struct container *c);
void leak_folder(struct pod *p, const char *path, const char *why); /* path: below the pod's folder */
void leak_groups(struct pod *p, struct plan *plan, const char *why); /* takes over plan */
void leaks_tell(struct pod *p);
void leaks_retry(struct pod *p);

/* --- ran.c: for the next podfs-pod --- */
/* state: of W_CONTAINER, or RAN_STOPPING. */
void ran_write(const struct container *c, int state, const char *reason);
void ran_inherit(struct container *c, const struct wire_in *in); /* from W_ADD */
const char *ran_reason(const struct container *c); /* why its run ended: kubelet's word */
void ran_keep(struct container *c); /* the run that has ended, if any, becomes the one before */
void ran_put(const struct container *c, struct wire_out *o); /* K_LAST_… */

/* --- kept.c: for the next server --- */
int note_keep(struct pod *p, const struct wire_in *in); /* W_EXEC_NOTE */
bool note_drop(struct pod *p, uint64_t serial); /* false: there was none */
void sessions_tell(struct pod *p); /* each with its streams and its note */
/* A change that a FUSE request asked for; number 0: none did. */
void asked_begin(uint64_t number);
/* answered: the server that asked gets the answer. */
void asked_end(struct pod *p, uint64_t number, int result, const struct err *e, bool answered);
void asked_tell(struct pod *p);

/* --- cgroup_ops.c: plain files only; the server made the groups --- */
/* In the child, v1: enters every group. */
int cgroup_enter(const struct wire_in *plan, struct err *e);
/* v2: a descriptor to clone into; -1: none needed. */
int cgroup_clone_fd(const struct wire_in *plan, struct err *e);
uint64_t cgroup_oom_kills(const struct plan *pl);
int cgroup_freeze(const struct plan *pl, bool on, struct err *e);
/* SIGKILL to everything in the groups and below. True: they are empty. */
bool cgroup_kill(const struct plan *pl);
/* rmdir of the groups and what is below. 0, or -EBUSY: again later. busy: the first that was. */
int cgroup_remove(const struct plan *pl, struct err *busy);
/* The node's folders above the pod's groups, if they are empty: for the last pod, when there is no server to do it. */
void cgroup_remove_parents(const struct plan *pl);

/* --- gather.c --- */
int gather_begin(struct container *c, struct asker a, struct err *e); /* 0: a is answered later */

/* --- remove.c --- */
void leave_begin(struct pod *p, uint32_t grace_s);
/* Goes on with the removal as far as it can; called after everything that may have been waited for. */
void leave_step(struct pod *p);
uint64_t leave_seconds(const struct pod *p);

#endif
