/* What the engine's files share and nobody else sees.
 *
 * link.c: the connection to one podfs-pod; op.c: changes of a pod's record, one behind
 * another; set.c, define.c: settings; pod.c, leave.c, container.c, session.c, pull.c: the things themselves; sandbox.c: a pod's sandbox, made and made anew; import.c:
 * podfs-image; plan.c: the launch plan; start.c: the ways into a start; gc.c: images that go; policy.c: decisions as pure functions;
 * restore.c: start-up; reach.c: podfs-pods that are hard to reach; lost.c: lost pods; see.c: phase, why, wait; events.c: `events`. net_link.c: the connection to podfs-net; net.c: what is
 * asked of it for one pod; net_set.c: settings of the network; net_again.c: after a restart of either side; net_etc.c: resolv.conf.
 */
#ifndef PODFS_ENGINE_PRIVATE_H
#define PODFS_ENGINE_PRIVATE_H

#include "runtime/base/util.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/peer.h"

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
	struct gc *gc;
	struct net_link *net;    /* the connection to podfs-net */
	uint64_t next_host;      /* host numbers are handed out in turn */
	uint64_t host_max;       /* the largest that the pods' subnet has, as far as is known */
	unsigned unplaced;       /* living pods whose network namespace is asked for: N_SYNC waits for them */
	struct timer sync;       /* but no longer than this */
	bool synced;             /* this podfs-net knows all pods */
	int alive_fd;            /* base/alive.h */
	struct stray *strays;
	bool closing;
	struct engine *engine;   /* the one that this is of */
	struct timer retry;      /* sweep.c */
	struct watch groups;     /* astray.c: inotify of pods' cgroup folders */
	unsigned unsettled;      /* pods that have not yet told their state */
};

void entity_add(struct engine *en, struct entity *e);
void entity_drop(struct engine *en, struct entity *e);
void engine_changed(struct engine *en, struct pod *p, enum change what);
void pods_insert(struct engine *en, struct pod *p);
void pods_remove(struct engine *en, struct pod *p);

struct spawn {
	const char *program; /* podfs-pod, podfs-image, podfs-net */
	char *const *argv;
	int fds[4], nfds;    /* fds[i] becomes i; -1: /dev/null */
	bool environment;    /* it gets the server's own; else only a PATH */
	char *const *also;   /* and these NAME=VALUE; NULL: none */
};

/* It is reaped by the kernel (SIGCHLD is ignored here). pidfd: gets one that is certainly its own, or -1; NULL: not
 * wanted. pid or -errno. */
pid_t engine_spawn(struct engine *en, const struct spawn *how, int *pidfd);

/* What an instance calls something in the kernel that another one has too: `name`, but for `podfs` where the state folder is not the
 * usual one: then `podfs`, the separator and eight digits that follow from the state folder. */
void instance_name(const struct config *cfg, const char *name, char separator, char *out, size_t size);

/* --- link.c --- */
struct op_place {
	struct op_place *next;
};
struct op_row {
	struct op_place *first, **tail;
};

struct pod_link {
	struct peer peer;
	struct pod *pod;
	struct op_row ops;       /* changes of the record; the first one is under way */
	struct op_row turns;     /* changes that have something to get first; the first one does, or is among ops */
	char *record;            /* the text that is known to be on disk; NULL: not known */
	struct timer timer;      /* of rmdir: the name is freed even if podfs-pod does not answer */
	done_fn *remove_done;
	void *remove_arg;
	unsigned removals;       /* how often podfs-pod -remove was started */
	bool gone;               /* W_GONE came */
	bool ready;              /* the sandbox has been reported */
	bool leaves;             /* podfs-pod has said that it does */
	bool nobodys;            /* the pod has no record: sweep.c */
	bool hello;              /* W_HELLO is not answered yet */
	struct recalled *recalled; /* recall.c */
	struct timer reach;      /* reach.c: its podfs-pod lives and is looked for */
	unsigned reach_tries;
	struct timer revive;     /* lost.c: when the lost sandbox is made anew */
	unsigned revivals, revive_tries;
	uint64_t revived_ns;     /* CLOCK_MONOTONIC; 0: not since it was lost last */
	char *revive_error;      /* why it could not be, as events say already */
	struct revival *revival; /* the sandbox is being made anew: ops wait for it */
	bool placing;            /* its network namespace is asked for */
	unsigned net_ops;        /* ops that change the network */
	struct timer net_timer;  /* the network is tried again */
	unsigned net_tries;
};

int link_new(struct pod *p);               /* p->link; 0 or -ENOMEM */
void link_free(struct pod *p);             /* answers what is waiting with ENODEV */
int link_attach(struct pod *p, int sock);  /* takes over sock */
bool link_up(const struct pod *p);         /* there is a connection */
/* The connection is gone: closes it and answers every request with ENODEV. */
void link_drop(struct pod *p);
int link_request(struct pod *p, struct wire_out *o, reply_fn *fn, void *arg); /* as peer_request */

/* Events from podfs-pod, called by link.c. */
void pod_on_message(struct pod *p, struct wire_in *in);
void pod_on_disconnect(struct pod *p);

/* --- op.c --- */
struct op {
	struct op_place op, turn; /* in its pod's rows */
	struct pod *pod;
	uint64_t container;      /* serial; 0: the pod itself */
	/* What must be had from elsewhere first, while the spec still is as it was; ops that have it come one behind another. > 0: nothing,
	 * or it is there; 0: it is under way and ends in op_go; -errno. NULL: nothing. */
	int (*before)(struct op *o, struct err *e);
	/* Lets that go again: the change does not hold. Comes after revert. NULL: nothing. */
	void (*undo)(struct op *o);
	/* Changes the spec in memory. -errno: nothing was changed, e says why. */
	int (*apply)(struct op *o, struct err *e);
	/* Takes that back, when podfs-pod refused. */
	void (*revert)(struct op *o);
	/* Begins the message and adds what podfs-pod must do; the record is added by op.c. */
	int (*message)(struct op *o, struct wire_out *out, struct err *e);
	/* Sends the message itself and has the answer elsewhere: the operation is over once podfs-pod has the message. What goes
	 * wrong later does not take it back. NULL: op.c sends it and waits for the answer. */
	int (*send)(struct op *o, struct wire_out *out, struct err *e);
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
	uint64_t asked, asked_after; /* engine's asking: of the message; of what follows it */
	bool by_root, was_set;
	bool adds;    /* text is lines for those that hold; and how it begins with the last of them: struct setting */
	size_t again;
	bool defines; /* the container comes with it */
	bool waiting, ready, sent; /* its turn has come; it stands among ops; podfs-pod has it */
	bool pending, was_pending, stop; /* the wish to start */
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
/* What `before` waited for is there, or has failed. */
void op_go(struct op *o, int result, const struct err *e);
void op_resume(struct pod *p); /* the sandbox has been made anew, or that has failed */
void op_cancel(struct pod *p); /* p is about to be freed */
struct container *op_container(const struct op *o); /* NULL when it has gone meanwhile */

/* --- container.c, define.c: the parts of an op that defines container o->name --- */
int container_may_come(struct pod *p, const char *name, struct err *e);
int create_apply(struct op *o, struct err *e);
void create_revert(struct op *o);
int create_message(struct op *o, struct wire_out *out, struct err *e);

/* --- pod.c, container.c --- */
struct pod *pod_new(struct engine *en, struct pod_spec *spec); /* takes over spec; NULL: no memory */
void pod_free(struct pod *p);
struct container *container_new(struct pod *p, struct container_spec *cs);
void container_free(struct container *c);
struct container *container_by_id(struct pod *p, const char *id); /* NULL: none, or it has been removed */
void container_unlink(struct container *c); /* out of p->containers */
int pod_spawn(struct pod *p, const char *mode, struct err *e); /* mode NULL or "-remove"; connects p->link */
void pod_put_groups(struct pod *p, struct wire_out *o); /* K_CGDIR* K_CGVERSION */
/* Connects to the podfs-pod that listens in the run folder and asks for its state. False: nobody does. */
bool pod_reconnect(struct pod *p);
void pod_unsettled(struct pod *p); /* it lives, and has not told its state yet */
void pod_settled(struct pod *p); /* W_HELLO is answered, or will not be */
void pod_without(struct pod *p); /* its podfs-pod has ended */
void container_on_state(struct pod *p, struct wire_in *in);
void container_open_log(struct container *c);
void container_show(struct container *c); /* status anew, from what podfs-pod said and what the engine knows */
int container_message_add(struct container *c, struct wire_out *o, struct err *e); /* W_ADD */
void container_lost(struct container *c, const char *reason, const char *message);

/* --- sandbox.c --- */
/* A podfs-pod for p, and what its containers share. done comes when the sandbox stands, or with the reason why not. */
int sandbox_make(struct pod *p, done_fn *done, void *arg, struct err *e);
/* The same for one that is lost, and its containers as defined. While that is under way it is joined. */
int sandbox_add(struct container *c, struct err *e); /* podfs-pod is given it, with what it did last and its limits */
int sandbox_revive(struct pod *p, done_fn *done, void *arg, struct err *e);

/* --- net.c --- */
/* What a pod's network came to be. */
struct net_got {
	int netns;        /* -1: podfs-pod makes one that has lo alone */
	uint64_t host;
	struct strs ip;
	char *resolv;     /* resolv.conf, where nobody has written it */
	bool bare;        /* lo alone, though more was wanted: `why` */
	char why[300];
};
#define NET_GOT_NONE ((struct net_got){ .netns = -1 })
void net_got_free(struct net_got *g); /* closes netns */

/* What is left in got when it returns is freed. */
typedef void got_fn(void *arg, int result, struct net_got *got, const struct err *e);
/* Gets what `net` means for p; ports and rates are those of its spec. 1: *got has it; 0: it is under way and fn will be called. */
int net_get(struct pod *p, const struct net_choice *net, struct net_got *got, got_fn *fn, void *arg, struct err *e);
void net_drop(struct pod *p);    /* what is under way is not wanted: fn is not called */
void net_cancel(struct pod *p);  /* the same, and fn is told */
/* The pod's spec and descriptor get g's, and g theirs. */
void net_swap(struct pod *p, struct net_got *g);
void net_settle(struct pod *p, bool bare, const char *why); /* podfs-pod is in it */
void net_down(struct pod *p, const struct err *e);          /* it has not got what it should have */
/* Lets go what was got for `net`. */
void net_let_go(struct pod *p, const struct net_choice *net, int *netns);
void net_leave(struct pod *p);   /* out of the tree: name and ports are free for others */
void net_forget(struct pod *p);  /* its podfs-pod is gone */
void net_put_etc(const struct pod *p, struct wire_out *o); /* K_HOSTS K_RESOLV */
/* 0: containers may start; else why not. */
int net_may_start(const struct pod *p, struct err *e);
void net_on_message(struct engine *en, struct wire_in *in); /* an event of podfs-net */
/* Parts of N_ATTACH and N_CNI_ADD, and of their reply. */
void net_put_choice(const struct net_choice *net, uint64_t host, struct wire_out *o); /* begins it */
void net_put_pod(const struct pod *p, struct wire_out *o);
unsigned net_patience(const struct net_choice *net); /* seconds */
int net_read_reply(const struct net_choice *net, struct wire_in *in, struct net_got *got, struct err *e);

/* --- net_set.c --- */
bool net_sets(const struct spec_field *f); /* its writes need podfs-net */
int net_set_prepare(struct op *o);         /* fills in what is to be done; 0 or -ENOMEM */
/* Gets what `network` says where that takes so long that the sandbox is made without: of CNI. */
void net_bring_up(struct pod *p);

/* --- net_again.c --- */
int net_open(struct engine *en);          /* 0 or -ENOMEM */
void net_begin_soon(struct engine *en);   /* the records are read: podfs-net is started if it is needed */
void net_close(struct engine *en);
void net_resume(struct pod *p);           /* W_HELLO is answered: podfs-net is told of it */
void net_again(struct pod *p);            /* podfs-net found that it is gone; NULL: nothing */
void net_connected(struct engine *en);    /* to a podfs-net that may know nothing */
bool net_wanted(const struct engine *en); /* podfs-net is needed, though nothing is asked of it */

/* --- net_etc.c --- */
/* What resolv.conf is where nobody has written it. dns: servers that know the pods' names; own: in a network of its own, where the
 * loopback is another one than the host's. */
void net_resolv(const struct strs *dns, bool own, struct buf *out);
/* The same of the text of the host's file: for tests. */
void net_resolv_of(const char *text, const struct strs *dns, bool own, struct buf *out);

/* --- set.c --- */
/* The parts of an op that sets o->field: for those that have more to do. */
int set_apply(struct op *o, struct err *e);
void set_revert(struct op *o);
int set_message(struct op *o, struct wire_out *out, struct err *e);
void set_after(struct op *o);
/* Its turn has come: what it adds to is what r holds now, and its text the whole one. */
int set_settle(struct op *o, struct spec_ref r, struct err *e);
/* For op_run. NULL: no memory. */
struct op *set_op(struct pod *p, struct container *c, const struct setting *s, done_fn *done, void *arg);
/* Sends the limits of the spec anew: for groups that were made anew. c NULL: the pod's own. */
int limits_apply(struct pod *p, struct container *c, struct err *e);

/* --- plan.c --- */
enum start_how { START_NOW, START_PULLS, START_REFUSED };
/* How a start would go. -ENOENT: the image is not on the node and will not be fetched; -EINVAL: no command … */
int plan_check(const struct container *c, bool by_root, enum start_how *how, struct err *e);
int plan_message(struct container *c, struct wire_out *o, struct err *e); /* the whole W_START */
void plan_cgroup(struct container *c, struct wire_out *o); /* K_CGDIR … K_FREEZE_OFF */
void plan_policy(const struct pod *p, struct wire_out *o); /* K_RESTART K_GRACE K_BACKOFF… */

/* --- start.c --- */
/* Starts c, or fetches its image first, by its policy. done comes when it runs or has failed (until_up), or as soon as it has been
 * taken on; when a pull comes first, as soon as the wish to start is on disk and the pull is under way. */
int container_go(struct container *c, bool until_up, done_fn *done, void *arg, struct err *e);
/* From what is on the node, whatever the policy; nobody waits. Failing is told. */
void container_start(struct container *c);
/* Takes up the wish to start that the record holds, unless that is under way. */
void container_resume(struct container *c);
/* It will not start: what it waited for is let go, the wish leaves the record, and `words` say why. */
void container_give_up(struct container *c, int code, const char *words);
/* ctl stop of one that waits for its image; a run that is there meanwhile is stopped too. */
int container_stop_waiting(struct container *c, done_fn *done, void *arg, struct err *e);

/* --- pull.c --- */
/* c waits for its image from now on. One that backs off is tried at once. */
int pull_join(struct container *c, struct err *e);
/* It does not any more; a pull that nobody wants is ended. */
void pull_leave(struct container *c);
/* An archive was imported: who waits for that image has it. */
void pulls_imported(struct engine *en, const char *reference);
/* Would a pull miss layers that no record names, if they went? */
bool pulls_keep_layers(const struct engine *en);
void pulls_next(struct engine *en); /* a podfs-image has ended: another's turn may have come */
void pulls_free(struct engine *en);
bool pull_possible(void); /* is there a skopeo? */
const char *pull_reason(const struct pull *p); /* kubelet's word */

/* --- policy.c --- */
enum start_how start_how(enum pull_policy policy, bool present);
/* After so many failed attempts: base, doubling to cap. */
uint64_t pull_backoff_ms(unsigned attempts, uint64_t base, uint64_t cap);
bool pull_hopeless(int code); /* trying again changes nothing */
struct rate {
	struct { uint64_t at_ns, bytes; } v[16];
	size_t n;
};
uint64_t rate_add(struct rate *r, uint64_t now_ns, uint64_t bytes); /* bytes a second, of late */
struct gc_image {
	uint64_t used_ns, imported_ns;
	bool named; /* a container names it */
};
/* The next host number from `next` on that is none of taken (sorted here), then from 2; 0: 2…max are all taken. */
uint64_t lease_choose(uint64_t *taken, size_t n, uint64_t next, uint64_t max);
/* Which image goes first; n: none may. pressing: also one that has just come. */
size_t gc_choose(const struct gc_image *v, size_t n, uint64_t now_ns, bool pressing);

/* --- gc.c --- */
int gc_open(struct engine *en);
void gc_close(struct engine *en);
/* Looks whether images must go. pressing: the disk was full. */
void gc_check(struct engine *en, bool pressing);
/* Layers of replaced images may have become free. */
void gc_run_ended(struct engine *en);

/* --- session.c --- */
void session_on_event(struct pod *p, struct wire_in *in);
void session_end_all(struct pod *p, const char *container); /* NULL: all */
void session_free(struct session *s);

/* --- session_keep.c --- */
/* From what podfs-pod tells at W_HELLO; false: there is no note of it. */
bool session_restore(struct pod *p, struct wire_in *in);
void session_take_streams(struct session *s, struct wire_in *in);

/* --- recall.c --- */
void recall_on_event(struct pod *p, struct wire_in *in); /* W_DONE */
void recall_drop(struct pod *p);

/* --- import.c --- */
enum image_verb { IMAGE_PULL, IMAGE_IMPORT, IMAGE_REMOVE, IMAGE_CLEAN };
struct import_progress {
	unsigned layers_done, layers;
	uint64_t bytes, total;
};
typedef void import_progress_fn(void *arg, const struct import_progress *p);
int import_launch(struct engine *en, enum image_verb verb, const char *reference, struct import **out, struct err *e);
void import_watch(struct import *i, import_progress_fn *fn, void *arg);
/* Nobody asks for its outcome any more: it is told to stop. */
void import_cancel(struct import *i);
unsigned imports_running(const struct engine *en, enum image_verb verb); /* also those that were told to stop */
/* After any of them ended, the store was read again, and who asked knows. */
void gc_after(struct engine *en, enum image_verb verb, int result);

/* --- events.c --- */
void events_load(struct engine *en, struct pod *p); /* p NULL: the node's */
/* Says how long no server was there. */
void events_came(struct engine *en, const struct predecessor *last);
/* c's state was told at W_HELLO, and the last server has said so already. */
bool event_known(const struct container *c);
/* Is there an event of it with those words, not older than that (CLOCK_REALTIME)? */
bool event_said(const struct container *c, uint64_t since_ns, const char *words);

/* --- stray.c --- */
void stray_unread(struct engine *en, const char *uid, const char *why); /* its record cannot be read */
/* Of p, which nobody knows, a podfs-pod runs. Without a record it is listed, p freed: true. With one it is an mkdir that was cut short. */
bool stray_runs(struct pod *p);
void stray_drop(struct engine *en, const char *uid); /* it is looked at anew */
bool stray_is(struct engine *en, const char *uid);
void strays_put(struct engine *en, struct wire_out *o); /* K_UID* of N_SYNC: those that live */
size_t strays_count(const struct engine *en);
size_t strays_hosts(const struct engine *en, uint64_t *taken, size_t n); /* n, and how many were added */
void strays_free(struct engine *en);

/* --- reach.c --- */
/* A podfs-pod of p lives: it is looked for until it is connected or has ended (pod_without). False: none lives. */
bool reach_begin(struct pod *p);
pid_t reach_pid(const struct pod *p); /* of the podfs-pod that lives; 0: none */
int reach_none(const struct pod *p, struct err *e); /* -EBUSY: one lives */
int run_folder(struct engine *en, struct err *e); /* is there, and is the one that we have open; 0 or -errno */

/* --- leave.c --- */
void leave_tree(struct pod *p);
void leave_again(struct pod *p); /* podfs-pod does not know of it */
void pod_start_removal(struct pod *p);
void leave_forget(struct pod *p); /* frees it, whatever may still be there */
void pod_gone(struct pod *p);

/* --- leaks.c --- */
bool leak_told(struct pod *p, const char *text); /* false: it is listed, or an earlier server said so */
void leak_freed(struct pod *p, const struct wire_in *in);
void leaks_forget(struct engine *en);  /* what a sweep finds again */
void leaks_overdue(struct engine *en);
void leaks_retry(struct engine *en);   /* podfs-pods are asked to */

/* --- sweep.c --- */
void sweep_begin(struct engine *en);
void sweep_end(struct engine *en);
void sweep_pod(struct engine *en, const char *uid); /* what is left of one without a record */

/* --- mend.c --- */
void mend_records(struct engine *en); /* of pods that live */
/* The groups of a container that is to start. */
void mend_groups(struct container *c);

/* --- astray.c --- */
int astray_open(struct engine *en);
void astray_close(struct engine *en);
void astray_watch(const struct container *c); /* it runs: the removal of its groups is told from now on */
/* Is it where its limits are? What has changed is said. */
void astray_look(struct container *c);
const char *astray_words(const struct container *c); /* NULL: it is not */
/* Before a command is run in it: where it is to be there is. */
void astray_exec(struct container *c);
/* Before a limit is written, of the pod where c is NULL: what is astray is put back, groups, limits and processes. */
void astray_mend(struct pod *p, struct container *c);

/* --- lost.c --- */
void lost_record(struct pod *p); /* the spec anew, from disk */
void lost_read(struct pod *p); /* what its containers did last, from disk: nobody else knows */
/* Their end, and which of them come again. */
void lost_containers(struct pod *p, const char *reason, const char *message);
void lost_add(struct pod *p); /* gives podfs-pod the containers that it has not told of */
void lost_put(const struct container *c, struct wire_out *o); /* the last run, into W_ADD */
void lost_start(struct pod *p); /* in the new sandbox, what comes again */
void lost_revive(struct pod *p); /* a new sandbox, now or later, if anything comes again */
void lost_no_more(struct pod *p);

/* --- restore.c --- */
int restore_all(struct engine *en, struct err *e);
void restore_one(struct engine *en, const char *uid);
int pod_record_read(struct engine *en, const char *uid, struct pod_spec **out, char **as_read, bool *leaving, struct err *e);
void restore_hello(struct pod *p);         /* after a connection to a living podfs-pod */
void restore_without(struct pod *p);       /* what it did is not known to this server */
void reap_cancel(struct engine *en, const char *uid); /* the group is about to be made again */
void reap_cgroups(struct engine *en, const char *uid); /* kills and removes, again until it holds */
void reap_free(struct engine *en);

#endif
