/* What the files of CNI's attachments share: cni_chain.c runs them, cni_keep.c keeps them and their records, cni_ask.c takes what
 * is asked of them. Internal to these three.
 */
#ifndef PODFS_NET_CNI_PRIVATE_H
#define PODFS_NET_CNI_PRIVATE_H

#include "runtime/base/util.h"
#include "runtime/net/cni_chain.h"
#include "runtime/net/cni_run.h"

enum op { OP_ADD, OP_CHECK, OP_DEL };

enum stage {
	ATTACHED, /* nothing is under way */
	QUEUED,
	STORING,  /* ADD: the record, before the first plugin */
	RUNNING,  /* plugin `at` */
	KEEPING,  /* ADD: the record with the result */
	RETRYING, /* DEL did not hold: it waits for the next try */
};

struct call {
	cni_done *fn;
	void *arg;
};

struct chain {
	struct cni *cni;
	struct chain *next;
	struct cni_record rec;
	int netns;            /* -1: not known */
	enum op op;
	enum stage stage;
	uint64_t ticket;      /* the lowest one queued is next */
	size_t at;            /* plugin */
	struct json_t *last;  /* ADD: result of the plugin before */
	struct cni_run run;
	struct timer timer;   /* deadline, or the next try */
	bool late;            /* the deadline has passed */
	bool unwanted;        /* a DEL came while ADD or CHECK ran */
	bool leaked;          /* that was told */
	bool tell;            /* again, as somebody asks anew */
	unsigned tries;       /* failed DELs */
	struct err why;       /* of an ADD that failed and is being cleaned up */
	struct call call, del; /* of ADD or CHECK; of DEL */
	struct chain *after;  /* an ADD that begins when this is deleted; in no list */
};

struct cni {
	struct cni_setup s;
	struct chain *chains;
	unsigned running;
	uint64_t tickets;
};

void answer(struct call *call, const struct err *e, const struct cni_answer *got); /* once: call is empty then */

/* --- cni_chain.c --- */
/* Queues it. DEL goes on where it has failed, or takes back all of what stands. */
void chain_begin(struct chain *ch, enum op op);
void chain_run_next(struct cni *c); /* of those that are queued, as many as may */
void chain_run_done(struct cni_run *r);
void chain_timer(struct timer *t);

/* Answers with what the cached result says. */
void answer_added(struct chain *ch, struct call *call);

/* --- cni_keep.c --- */
struct chain *chain_new(struct cni *c); /* in no list; NULL: no memory */
void chain_free(struct chain *ch);      /* in no list; NULL: nothing */
void chain_link(struct chain *ch);
void chain_unlink(struct chain *ch);
bool chain_is_uid(const char *s); /* a uuid's letters: it becomes a file's name */
struct chain *chain_find(struct cni *c, const char *uid);
/* The chain, or the one of which a process before this one left a record. 0, with *out NULL: there is none. */
int chain_find_or_load(struct cni *c, const char *uid, struct chain **out, struct err *e);
int chain_store(void *ch, struct err *e); /* for a child: durable when it returns */
void chain_forget(const struct chain *ch);

#endif
