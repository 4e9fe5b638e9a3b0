/* What the engine's files share and nobody else sees.
 *
 * link.c: the connection to one podfs-pod; op.c: changes of a pod's record, one behind
 * another; pod.c, container.c, session.c, import.c: the things themselves; plan.c: the
 * launch plan; restore.c: start-up and lost pods; see.c: phase, why, wait.
 */
#ifndef PODFS_ENGINE_PRIVATE_H
#define PODFS_ENGINE_PRIVATE_H

#include "runtime/base/util.h"
#include "runtime/engine/engine.h"
#include "runtime/wire/wire.h"

#define HASH_SIZE 4096
#define CONTAINERS_MAX 32
#define SESSIONS_MAX 64
#define EVENTS_POD_MAX (64 * 1024)
#define EVENTS_NODE_MAX (256 * 1024)
#define ERROR_MAX 4096

struct engine_private {
	struct entity *hash[HASH_SIZE];
	uint64_t next_serial;
	void *wire_mem;          /* WIRE_MAX bytes to receive into */
	char program_dir[4096];  /* where podfs-pod and podfs-image are */
	struct pod *creating;    /* mkdir under way: the name is taken, the tree does not show it */
	struct reap *reaps;      /* cgroups of lost pods that are being emptied */
	struct import *imports;
	struct pull *pulls;      /* in the order asked for */
	bool closing;
	unsigned unsettled;      /* pods that have not yet told their state */
};

void entity_add(struct engine *en, struct entity *e);
void entity_drop(struct engine *en, struct entity *e);
void engine_changed(struct engine *en, struct pod *p, enum change what);
void pods_insert(struct engine *en, struct pod *p);
void pods_remove(struct engine *en, struct pod *p);

/* Starts program (podfs-pod, podfs-image) with these arguments and descriptors: fds[i] becomes i; -1: /dev/null.
 * It is reaped by the kernel (SIGCHLD is ignored here). pid or -errno. */
pid_t engine_spawn(struct engine *en, const char *program, char *const argv[], const int *fds, int nfds);

/* --- link.c --- */
typedef void reply_fn(void *arg, int result, struct wire_in *in, const struct err *e);

struct request {
	uint32_t seq;
	reply_fn *fn;
	void *arg;
	struct request *next;
};

struct pod_link {
	struct watch watch;      /* the socket; fd -1: not connected */
	struct pod *pod;
	uint32_t seq;
	struct request *requests;
	struct out_msg *queue, **queue_tail; /* what the socket did not take yet */
	size_t queued;
	struct op *ops, **ops_tail; /* the first one is under way */
	char *record;            /* the text that is known to be on disk; NULL: not known */
	struct timer timer;      /* of rmdir: the name is freed even if podfs-pod does not answer */
	done_fn *remove_done;
	void *remove_arg;
	unsigned removals;       /* how often podfs-pod -remove was started */
	bool gone;               /* W_GONE came */
	bool ready;              /* the sandbox has been reported */
	bool hello;              /* W_HELLO is not answered yet */
};

int link_new(struct pod *p);               /* p->link; 0 or -ENOMEM */
void link_free(struct pod *p);             /* answers what is waiting with ENODEV */
int link_attach(struct pod *p, int sock);  /* takes over sock */
/* The connection is gone: closes it and answers every request with ENODEV. */
void link_drop(struct pod *p);
/* Sends o (seq is filled in); fn is called once, with the reply or -ENODEV; NULL: nobody waits for it. -errno: nothing was
 * sent and fn is not called. */
int link_request(struct pod *p, struct wire_out *o, reply_fn *fn, void *arg);

/* Events from podfs-pod, called by link.c. */
void pod_on_message(struct pod *p, struct wire_in *in);
void pod_on_disconnect(struct pod *p);

/* --- op.c --- */
struct op {
	struct op *next;
	struct pod *pod;
	uint64_t container;      /* serial; 0: the pod itself */
	/* Changes the spec in memory. -errno: nothing was changed, e says why. */
	int (*apply)(struct op *o, struct err *e);
	/* Takes that back, when podfs-pod refused. */
	void (*revert)(struct op *o);
	/* Begins the message and adds what podfs-pod must do; the record is added by op.c. */
	int (*message)(struct op *o, struct wire_out *out, struct err *e);
	/* It holds. Takes over done and arg if it does not call them; op.c frees o afterwards. NULL: done(0). */
	void (*after)(struct op *o);
	void (*free)(struct op *o); /* of what the members below own; NULL: nothing */
	done_fn *done;
	void *arg;

	/* parameters, by the kind of change */
	const struct spec_field *field;
	char *text, *old;
	size_t len;
	char *record; /* the new text, when it goes along */
	bool by_root, was_set, sent;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	char name[SPEC_NAME_MAX + 1];
	void *keep;
};

/* Takes over o. When nothing is under way it starts at once, and a refusal is returned (o is freed, done is not
 * called). Otherwise 0. */
int op_run(struct op *o, struct err *e);
struct op *op_new(struct pod *p, struct container *c, done_fn *done, void *arg);
struct container *op_container(const struct op *o); /* NULL when it has gone meanwhile */

/* --- pod.c, container.c --- */
struct pod *pod_new(struct engine *en, struct pod_spec *spec); /* takes over spec; NULL: no memory */
void pod_free(struct pod *p);
struct container *container_new(struct pod *p, struct container_spec *cs);
void container_free(struct container *c);
struct container *container_by_id(struct pod *p, const char *id); /* NULL: none, or it has been removed */
void container_unlink(struct container *c); /* out of p->containers */
int pod_spawn(struct pod *p, const char *mode, struct err *e); /* mode NULL or "-remove"; connects p->link */
/* Makes the sandbox: W_SANDBOX to a fresh podfs-pod. */
int pod_sandbox(struct pod *p, reply_fn *fn, void *arg, struct err *e);
/* Connects to the podfs-pod that listens in the run folder and asks for its state. False: nobody does. */
bool pod_reconnect(struct pod *p);
void pod_settled(struct pod *p); /* W_HELLO is answered, or will not be */
void pod_start_removal(struct pod *p);
void container_on_state(struct pod *p, struct wire_in *in);
void container_open_log(struct container *c);
int container_message_add(struct container *c, struct wire_out *o, struct err *e); /* W_ADD */
void container_lost(struct container *c, const char *reason, const char *message);

/* --- set.c --- */
/* Sends the limits of the spec anew: for groups that were made anew. c NULL: the pod's own. */
int limits_apply(struct pod *p, struct container *c, struct err *e);

/* --- plan.c --- */
/* -ENOENT: the image is not on the node; -EINVAL: no command … */
int plan_check(const struct container *c, bool by_root, struct err *e);
int plan_message(struct container *c, struct wire_out *o, struct err *e); /* the whole W_START */
void plan_cgroup(struct container *c, struct wire_out *o); /* K_CGDIR … K_FREEZE_OFF */
void plan_policy(const struct pod *p, struct wire_out *o); /* K_RESTART K_GRACE K_BACKOFF… */
/* Starts it now; done comes when it runs or has failed. */
int container_start(struct container *c, done_fn *done, void *arg, struct err *e);

/* --- session.c --- */
void session_on_event(struct pod *p, struct wire_in *in);
void session_end_all(struct pod *p, const char *container); /* NULL: all */
void session_free(struct session *s);

/* --- import.c --- */
/* Frees layers that no image has: only while no pod could be using one. */
void images_clean(struct engine *en);

/* --- restore.c --- */
int restore_all(struct engine *en, struct err *e);
void restore_hello(struct pod *p);         /* after a connection to a living podfs-pod */
int pod_revive(struct pod *p, struct err *e); /* a new podfs-pod for one that is lost */
void reap_cgroups(struct engine *en, const char *uid); /* kills and removes, again until it holds */
void reap_free(struct engine *en);

#endif
