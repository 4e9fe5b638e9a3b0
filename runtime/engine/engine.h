/* The node's pods, as the server knows them, and what can be asked of them.
 *
 * Owns pods, containers, sessions, their records and the connections to the podfs-pod
 * processes. Knows no FUSE: fs/ shows what stands here and asks through these functions;
 * another engine behind the same tree would offer the same ones.
 *
 * Runs in podfs-server, on its one loop. Nothing here blocks. What takes time ends in a
 * done_fn; it may be called before the function that took it returns. A function that
 * returns < 0 has failed at once, has filled e and will not call done.
 */
#ifndef PODFS_ENGINE_H
#define PODFS_ENGINE_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/engine/ring.h"
#include "runtime/image/image.h"
#include "runtime/log/log.h"
#include "runtime/parse/config.h"
#include "runtime/parse/parse.h"
#include "runtime/spec/spec.h"

#include <sys/statvfs.h>

/* result: 0 or -errno, then e (never NULL) holds the sentence. */
typedef void done_fn(void *arg, int result, const struct err *e);

enum entity_kind { ENTITY_POD = 1, ENTITY_CONTAINER, ENTITY_SESSION };

/* What a node of the tree stands for: first member of pod, container and session. The serial is never
 * used again in the life of a mount: a stale one finds nothing. */
struct entity {
	enum entity_kind kind;
	uint64_t serial; /* 40 bits */
	struct entity *hash_next;
};

enum container_state { C_WAITING, C_RUNNING, C_PAUSED, C_TERMINATED };

/* How a run of a container ended. */
struct run_end {
	int exit_code;      /* -1: there was none */
	int signal;         /* that ended it; 0: none */
	char reason[40];
	uint64_t started_ns, finished_ns; /* CLOCK_REALTIME; 0: not known */
};

/* How it stands with a container. */
struct container_status {
	enum container_state state;
	char reason[40];    /* one word: ContainerCreating, Completed, Error, OOMKilled, StartError, CrashLoopBackOff … */
	char message[400];  /* words; "" when there is nothing to say */
	pid_t pid;          /* 0: none */
	int exit_code;      /* -1: none yet */
	int signal;         /* that ended it; 0: none */
	unsigned restarts;
	uint64_t started_ns, finished_ns, next_ns; /* CLOCK_REALTIME; 0: never */
	uint64_t kill_ns;   /* likewise: it is being stopped, and killed then; 0: it is not */
	bool again;         /* and is started again once it has ended */
	int root_fd;        /* podfs-pod's descriptor of its root; -1: none */
	char trouble[400];  /* what is amiss with what runs, and what to do; "" */
	struct run_end last; /* the run before; of one that runs or waits: the one that ended last */
};

struct container {
	struct entity entity;
	struct pod *pod;
	struct container_spec *spec; /* owned by pod->spec */
	char id[CONTAINER_ID_MAX];   /* container_spec_id: the `name` for cg_… functions and folders */
	struct container_status told;   /* as podfs-pod said it */
	struct container_status status; /* that, and what the engine knows beside: pulls, starts that never got that far */
	char *refusal;           /* why the start that was asked for last never reached podfs-pod; NULL */
	int last_error;          /* errno of the last start or pull that failed; 0 after one that did not, or a new one was asked for */
	bool known;              /* podfs-pod has told of it */
	bool starting;           /* a start was asked for and has not answered */
	bool held;               /* it starts once its pod has a network */
	bool leaving;            /* rmdir'ed: no longer in the tree */
	bool astray;             /* it runs, and others took it out of its cgroup */
	unsigned starts;         /* that were asked for */
	bool refetched;          /* since a start was asked for: because the image turned out not to be there */
	char *image_id;          /* digest of the image it runs or ran from; NULL */
	struct pull *pull;       /* what it waits for, fetched or tried again later; NULL. status.reason is then
	                            ContainerCreating, ErrImagePull or ImagePullBackOff unless an older run goes on */
	struct ring error;
	struct log_reader *log;  /* NULL until there is something */
};

enum session_state { S_NEW, S_RUNNING, S_ENDED };

struct session {
	struct entity entity;
	struct pod *pod;
	char name[SPEC_NAME_MAX + 1];  /* "" : of exec/NAME, not listed */
	char container[SPEC_NAME_MAX + 1];
	bool tty;
	unsigned rows, cols;           /* 0: not set */
	uid_t owner; gid_t group;
	uint64_t created_ns;
	char *cmd;                     /* as written; NULL */
	enum session_state state;
	int exit_code;
	int in, out, err;              /* nonblocking, owned; -1: closed or none. With a terminal in is the
	                                  master and out its duplicate, err -1 */
	uint64_t *openings;            /* handles of those who have `in` open; of exec/NAME: the one that it is for */
	size_t nopenings;
	int mode;                      /* O_ACCMODE of that one */
	struct session *next;
};

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED };

/* How it stands with a pod's network (engine/net.c). */
struct pod_net {
	bool up;         /* it has what `network` says; spec->ip are its addresses then */
	bool busy;       /* network, ports or a rate is being changed */
	bool bare;       /* it is not up and will not be: this kernel can't. Containers run without */
	char why[300];   /* it is not up: why, and what happens next; "" */
	int error;       /* errno of that */
	int netns;       /* on the bridge or of a CNI network: its namespace, held so that podfs-net can be given it again; -1 */
	struct net_work *work; /* what is under way (engine's) */
};

struct pod {
	struct entity entity;
	struct engine *engine;
	struct pod_spec *spec;
	struct container **containers; /* in the order defined; without the leaving ones */
	size_t ncontainers;
	struct session *sessions;
	struct ring events, error;
	pid_t pid;                     /* of podfs-pod; 0: it is gone */
	bool leaving;                  /* rmdir'ed: only in .node/leaving */
	uint64_t leave_by_ns;          /* CLOCK_MONOTONIC when its grace period is over */
	char lost[200];                /* why podfs-pod is gone; "" while it lives */
	char trouble[300];             /* what somebody has done to it behind podfs, and is not mended: in words; "" */
	uint64_t revive_ns;            /* CLOCK_REALTIME: when another is made; 0: it is not */
	struct pod_net net;
	struct pod_link *link;         /* the connection (engine's) */
	struct pod *next_leaving;
};

enum change { CHANGE_STATE, CHANGE_TREE, CHANGE_EVENTS, CHANGE_LOG, CHANGE_SESSION, CHANGE_IMAGES };

struct engine {
	struct loop *loop;
	const struct config *cfg;
	struct cg_host *cg;
	struct images *images;
	int state_fd, run_fd;     /* folders */
	struct pod **pods;        /* sorted by name, without the leaving ones */
	size_t npods;
	struct pod *leaving;
	struct ring events, error, leaks;
	char *net_info;           /* lines about the pods' network, from podfs-net; NULL: none yet */
	uint64_t started_ns;      /* CLOCK_REALTIME */
	uint64_t asking;          /* number of the FUSE request whose last step is being taken; 0: none */
	uint64_t tree_version;    /* grows when a pod comes or goes */
	/* Called after something changed that a reader may wait for or a folder shows; never from within an
	 * engine_… call of the same change's caller before that has returned its result through done.
	 * pod NULL: the node. */
	void (*on_change)(void *arg, struct pod *pod, enum change what);
	void *on_change_arg;
	struct engine_private *priv;
};

/* The server before this one, as the keeper saw it end. */
struct predecessor {
	const char *how;   /* "was killed by signal 9 (Killed)"; NULL: there was none, or nobody saw it end */
	uint64_t ended_ns; /* CLOCK_REALTIME; 0: not known */
};

/* Reads records, finds the living podfs-pod processes, starts those that are missing. Returns when that is
 * asked for, not when it is answered. */
int engine_open(struct loop *loop, const struct config *cfg, const struct predecessor *last, struct engine **out,
		struct err *e);
/* How many living pods have not told their states yet; at 0 the tree is as it was. */
unsigned engine_unsettled(const struct engine *en);
/* These are shown as they were known last, until they answer. */
void engine_assume(struct engine *en);
/* Says so in the node's events: this server is ended on purpose. */
void engine_leaves(struct engine *en);
/* Lets go of everything; pods go on. */
void engine_close(struct engine *en);

uint64_t engine_serial(struct engine *en); /* a fresh serial */
struct entity *engine_entity(struct engine *en, uint64_t serial); /* NULL: gone */

/* --- pods --- */
struct pod *engine_pod(struct engine *en, const char *name); /* NULL: none in the tree */
/* mkdir: done(0) when the sandbox is up and the pod is in the tree. mode: permission bits. */
int engine_pod_create(struct engine *en, const char *name, uid_t uid, gid_t gid, mode_t mode, done_fn *done, void *arg,
		      struct err *e);
/* rmdir: done(0) when the name is free. */
int engine_pod_remove(struct pod *p, done_fn *done, void *arg, struct err *e);
/* chown, chmod: (uid_t)-1, (mode_t)-1 leave as it is. */
int engine_pod_chown(struct pod *p, uid_t uid, gid_t gid, mode_t mode, done_fn *done, void *arg, struct err *e);

/* --- containers --- */
struct container *engine_container(struct pod *p, const char *name);
int engine_container_create(struct pod *p, const char *name, done_fn *done, void *arg, struct err *e);
int engine_container_remove(struct container *c, done_fn *done, void *arg, struct err *e);

/* --- settings: c NULL for the pod's own --- */
/* What is written to one. */
struct setting {
	const struct spec_field *field;
	const char *text;
	size_t len;
	bool adds;    /* behind the lines that hold when its turn has come; else it takes their place */
	size_t again; /* adds: so many first bytes are a line that was added before, and is longer now */
	bool by_root; /* who alone may write references that are paths of the host */
};
/* Writing image starts the container: done comes when it runs or that has failed, and if the image is fetched first, as soon
 * as that is under way. */
int engine_set(struct pod *p, struct container *c, const struct setting *s, done_fn *done, void *arg, struct err *e);
/* Of a container that is not there (yet): it is defined by the first value that holds. */
int engine_define(struct pod *p, const char *name, const struct setting *s, done_fn *done, void *arg, struct err *e);
/* c NULL: all containers of the pod. done comes when it has been taken on, not when it has happened. */
int engine_ctl(struct pod *p, struct container *c, const struct ctl *ctl, done_fn *done, void *arg, struct err *e);

/* --- network --- */
/* The pod's addresses without prefix, IPv4 first: the host's where it lives in the host's network; none: 0. */
#define POD_IPS 8
size_t pod_ips(const struct pod *p, char out[POD_IPS][46]);
/* `KEY NUMBER` lines of what the pod has received and sent, as it sees it (net.stat). -ENODATA: it has no network of its own. */
int pod_net_stat(const struct pod *p, struct buf *out);

/* --- requests that are sent again --- */
/* Has a podfs-pod been given the change that FUSE request number asked for? Then recall: done gets its outcome, now or later. */
bool engine_knows(const struct pod *p, uint64_t number);
void engine_recall(struct pod *p, uint64_t number, done_fn *done, void *arg);

/* --- sessions --- */
struct session *engine_session(struct pod *p, const char *name);
int engine_session_create(struct pod *p, const char *name, uid_t uid, gid_t gid, struct session **out, struct err *e);
/* Ends what still runs and frees s. */
void engine_session_remove(struct session *s);
/* Runs words in s->container (the pod's first when ""); done(0) when it runs: s->in, out, err are then open. A command that
 * is not there ends the session with 127, not executable 126, and done gets -ENOENT or -EACCES; after any other failure s is as it was
 * before. merge: stderr into out. */
int engine_session_run(struct session *s, const struct strs *words, bool merge, done_fn *done, void *arg, struct err *e);
/* End of file for the command. */
void engine_session_close_in(struct session *s);
/* After a change of a member that a next server could not know. */
void engine_session_note(struct session *s);
/* Handle fh is a writer of `in`, or the opening of exec/NAME that s is for. closed: how many are left. */
int engine_session_opened(struct session *s, uint64_t fh, int mode);
size_t engine_session_closed(struct session *s, uint64_t fh);
struct session *engine_session_of(struct pod *p, uint64_t fh); /* of exec/NAME; NULL: none */
int engine_session_winsize(struct session *s, unsigned rows, unsigned cols, struct err *e);

/* --- images --- */
struct import;
/* An archive begins to arrive. */
int engine_import_begin(struct engine *en, const char *reference, struct import **out, struct err *e);
int import_fd(const struct import *i); /* nonblocking pipe to write the archive to; -1 when podfs-image has ended early */
/* The archive is complete: done gets the verdict; i is then gone. Also called when writing gave EPIPE. */
void import_finish(struct import *i, done_fn *done, void *arg);
void import_abort(struct import *i);
int engine_image_remove(struct engine *en, const char *reference, done_fn *done, void *arg, struct err *e); /* -EBUSY in use */
/* How many containers use it. */
unsigned engine_image_users(struct engine *en, const struct image *i);

/* Of the file system that the images are on, as df(1) rounds and the garbage marks mean it. */
unsigned used_percent(const struct statvfs *s);

/* --- pulls --- */
enum pull_state { PULL_FETCHING, PULL_BACKOFF };
/* One a reference, whoever asked. */
struct pull {
	struct pull *next;
	char *reference;             /* as it was first written */
	char *canonical;
	enum pull_state state;
	bool queued;                 /* PULL_FETCHING, but its turn has not come: others are under way */
	unsigned attempts;           /* that have failed */
	unsigned layers_done, layers; /* of this attempt; layers 0: not known yet */
	uint64_t bytes, total;       /* of blobs; total 0: not known yet */
	uint64_t rate;               /* bytes a second, of late */
	uint64_t started_ns, next_ns; /* CLOCK_REALTIME: of this attempt; of the next, while it backs off */
	int code;                    /* of the last failure */
	char error[400];             /* in words */
	bool by_node;                /* .node/pull asked for it */
	struct pull_private *priv;
};
/* The first one; in the order they were asked for. */
const struct pull *engine_pulls(const struct engine *en);
const struct pull *engine_pull_find(const struct engine *en, const char *reference); /* any spelling; NULL: none */
unsigned engine_pull_waiters(const struct engine *en, const struct pull *p); /* containers */
/* .node/pull: fetches it, also when it is there, and does not wait. -EINVAL no reference, -ENOSYS no skopeo, -EPERM. One that
 * backs off is tried at once. */
int engine_pull(struct engine *en, const char *reference, bool by_root, struct err *e);
/* rm of a pull under way: nobody gets it; who waits for it is told so. -ENOENT: there is none. */
int engine_pull_cancel(struct engine *en, const char *reference, struct err *e);
/* How far it is, without a newline: `layer 3 of 8, 45.2M of 135M (33 %), 87.1M/s`, or why it waits and how long. */
void pull_show(const struct pull *p, struct buf *out);

/* --- what is --- */
enum pod_phase pod_phase(const struct pod *p);
const char *pod_phase_name(enum pod_phase ph);
const char *container_state_name(const struct container *c); /* waiting running paused terminated */
/* One line, no newline: the real cause of its being as it is, and what happens next. c NULL: the pod. */
void engine_why(const struct pod *p, const struct container *c, struct buf *out);
enum wait_for { WAIT_RUNNING, WAIT_READY, WAIT_ENDED };
/* -EAGAIN: not yet (ask again after a change); 0: holds, out has the line to read; else it has failed: e. */
int engine_wait(const struct pod *p, const struct container *c, enum wait_for what, struct buf *out, struct err *e);
unsigned pod_ready_count(const struct pod *p);
unsigned pod_restarts(const struct pod *p);

/* Looks anew for what belongs to nobody, removes it, and lists in `leaks` what can't be. */
void engine_sweep(struct engine *en);

/* --- words --- */
/* A refused write: the sentence goes into the nearest error: c's, p's, or the node's (both NULL). */
void engine_refused(struct engine *en, struct pod *p, struct container *c, const char *file, const struct err *e);
void engine_event(struct engine *en, struct pod *p, struct container *c, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
