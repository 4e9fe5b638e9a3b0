/* What the server and podfs-pod say to each other.
 *
 * One message is one SOCK_SEQPACKET datagram: a header and fields of (key, bytes);
 * at most WIRE_FDS descriptors travel along. Knows nothing of what the messages do.
 * Linked into both; podfs-pod is never older than the socket it opened, but the server
 * may be newer: unknown keys are skipped, an unknown op is answered -EOPNOTSUPP.
 *
 * Every request may carry K_ASKED, see W_DONE. Requests carry a seq > 0 and are answered by one W_REPLY with the same seq, in any
 * order. Events carry seq 0.
 */
#ifndef PODFS_WIRE_H
#define PODFS_WIRE_H

#include "runtime/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_MAX (192 * 1024) /* bytes of one message */
#define WIRE_FDS 3

/* KEYS in the comments: what a message carries; [] optional, * repeated. */
enum wire_op {
	/* requests, server -> podfs-pod. Every request may also carry K_RECORD: the new pod
	 * record, made durable before the request is done and put back if it fails. */
	W_HELLO = 1,    /* after (re)connecting: answered by W_READY, a W_CONTAINER each, a
	                   W_SESSION each, then the reply */
	W_RECORD,       /* K_RECORD */
	W_ADD,          /* a container comes to be defined: K_NAME K_CGDIR* K_OOM K_FREEZE… */
	W_START,        /* K_NAME and the whole plan (below); running: it is stopped first (grace),
	                   then started. The reply comes when it runs or has failed to. A record that comes
	                   along holds as soon as the start is taken on. */
	W_STOP,         /* K_NAME [K_GRACE]; replies at once; no restart policy applies to it */
	W_KILL,         /* K_NAME K_SIGNAL */
	W_PAUSE,        /* K_NAME */
	W_UNPAUSE,      /* K_NAME */
	W_DROP,         /* K_NAME K_GRACE: stop and forget it, free its disk and cgroup; replies at
	                   once; W_DROPPED when it is done */
	W_LIMIT,        /* (K_PATH K_VALUE)*: kernel files to write in order; the first that fails
	                   ends it: -errno and which */
	W_POLICY,       /* K_NAME? K_RESTART K_GRACE K_BACKOFF…: changed without a start */
	W_HOSTNAME,     /* K_HOSTNAME K_HOSTS: sethostname and /etc/hostname, /etc/hosts */
	W_SHARE,        /* K_SHARE: "ipc net uts [pid]", changed only while no container runs (-EBUSY) */
	W_EXEC,         /* K_SESSION K_NAME K_ARG* [K_TTY K_ROWS K_COLS]: the reply carries fds:
	                   in, out, err; with K_TTY one: the terminal's master; with K_MERGE: in, out. A failure with
	                   K_CODE (126, 127) is the command's and ends the session; without, the session is
	                   unknown and may be asked for again */
	W_EXEC_CLOSE,   /* K_SESSION: podfs-pod closes its own copy of the session's stdin */
	W_EXEC_END,     /* K_SESSION: SIGHUP, then SIGKILL to what still runs; forget it */
	W_DELETE,       /* K_GRACE: the record is renamed so that the pod is gone from the tree, the
	                   reply is sent; then stop everything, remove everything, W_GONE, exit */

	W_SANDBOX,      /* the first one after the start: K_RECORD K_HOSTNAME K_SHARE K_CGDIR* K_CGVERSION
	                   K_RESTART K_GRACE K_BACKOFF… K_HOSTS K_RESOLV [fd: the network namespace to live in; without, one
	                   that has lo alone is made]: the reply says that the sandbox stands */
	W_NETNS,        /* the reply carries an fd: the network namespace it lives in */
	W_NET,          /* K_HOSTS K_RESOLV [fd as in W_SANDBOX]: another network namespace; -EBUSY once a container has run */
	W_ETC,          /* K_HOSTS K_RESOLV: written in place, so that running containers see them */

	W_SWEEP,        /* what was told by W_LEAK is tried again */
	W_GATHER,       /* K_NAME: all of its processes enter its cgroups again; -EOPNOTSUPP: which they are nobody knows */

	W_EXEC_NOTE = 40, /* K_SESSION and whatever the server wants to be told again of it; in place of the note before */

	/* events, podfs-pod -> server */
	W_REPLY = 64,   /* seq, result; [K_ERROR K_CODE]; fds */
	W_READY,        /* the sandbox stands: K_PID [K_LEAVING K_GRACE] [K_TEXT: what could not be had] */
	W_CONTAINER,    /* K_NAME and its whole state: K_STATE K_REASON K_PID K_CODE K_SIGNAL
	                   K_RESTARTS K_STARTED K_FINISHED K_NEXT K_ROOTFD K_ERROR [K_IMAGE]; while it is being stopped
	                   K_KILL_AT, and K_AGAIN if it is started again then; while it runs K_TROUBLE*;
	                   of the run before, if there was one,
	                   K_LAST_CODE K_LAST_SIGNAL K_LAST_REASON K_LAST_STARTED K_LAST_FINISHED */
	W_SESSION,      /* K_SESSION K_NAME K_STATE(running|ended) [K_CODE] [K_TTY]; answering W_HELLO it
	                   carries the fds again that are still open, and a K_TEXT each: in out err tty, and the fields of
	                   its note */
	W_LOG,          /* K_NAME: a segment was begun or dropped: look at the folder again */
	W_DROPPED,      /* K_NAME */
	W_EVENT,        /* K_NAME? K_TEXT: a line for `events` */
	W_LEAK,         /* K_TEXT: something that could not be freed; told again after W_HELLO */
	W_GONE,         /* after W_DELETE, all is removed; podfs-pod exits */
	W_FREED,        /* K_TEXT of a W_LEAK: it has been freed */
	W_DONE = 96,    /* K_ASKED K_STATE [K_CODE K_ERROR]: answering W_HELLO, each of the last changes that a FUSE request had
	                   asked for, and later the end of those that were still under way */
};

enum wire_key {
	K_NAME = 1,  /* container */
	K_RECORD,    /* the text of pod.ini */
	K_ERROR,     /* words, without a newline */
	K_TEXT,
	K_PATH, K_VALUE,
	K_SHARE, K_HOSTNAME,
	K_PID,       /* u64 */
	K_GRACE,     /* u64 seconds */
	K_SIGNAL,    /* u64 */
	K_STATE,     /* u64: enum container_state */
	K_REASON,    /* one word: Completed Error OOMKilled ContainerCannotRun … */
	K_CODE,      /* u64: exit code 0-255 */
	K_RESTARTS,  /* u64 */
	K_STARTED, K_FINISHED, /* u64: CLOCK_REALTIME ns; 0: never */
	K_NEXT,      /* u64: CLOCK_REALTIME ns of the next try; 0: none */
	K_ROOTFD,    /* u64: number of podfs-pod's descriptor of the container's root */
	K_SESSION,   /* u64: serial */
	K_TTY, K_ROWS, K_COLS, /* u64 */
	K_MERGE,     /* u64 1: stderr goes where stdout goes */
	K_LEAVING,   /* u64: 1, and K_GRACE seconds are left */
	K_HOSTS, K_RESOLV, /* whole texts of /etc/hosts and /etc/resolv.conf */

	/* the launch plan of W_START; podfs-pod keeps it and starts again from it */
	K_ARG = 64,  /* repeated: argv */
	K_ENV,       /* repeated: KEY=VALUE */
	K_CWD,       /* absolute; created when it is not there */
	K_USER,      /* USER[:GROUP], names or numbers, resolved inside the root; "" is 0:0 */
	K_LAYER,     /* repeated: absolute folder of a layer, topmost first */
	K_STOPSIGNAL,/* u64 */
	K_RESTART,   /* u64: enum restart_policy */
	K_BACKOFF_BASE, K_BACKOFF_CAP, K_BACKOFF_RESET, /* u64 milliseconds */
	K_CGDIR,     /* repeated: cgroup folders the container's first process enters and that are
	                removed with the container (v1: one a hierarchy; v2: one) */
	K_CGVERSION, /* u64: 1 or 2 */
	K_OOM,       /* file with a line "oom_kill N" */
	K_FREEZE,    /* file, and what to write there */
	K_FREEZE_ON, K_FREEZE_OFF,
	K_LOG_MAX, K_LOG_FILES, /* u64 bytes of one segment, number of segments kept */
	K_HOLD,      /* u64 1: the layers are the store's: a shared flock is held on each while the plan is kept */
	K_KEEP,      /* u64 1: only define, do not start (after the server restarted) */
	K_IMAGE,     /* its id, for people; told again in W_CONTAINER */
	K_KILL_AT,   /* u64: CLOCK_REALTIME ns of the SIGKILL that ends the grace period */
	K_AGAIN,     /* u64 1 */

	/* what outlives a server (docs/design.md, "Outliving") */
	K_ASKED = 160, /* u64: number of the FUSE request that a message completes */
	K_LABEL,     /* the note of a session, which podfs-pod does not look into: its name; "": of exec/NAME */
	K_TARGET,    /* the container's NAME */
	K_CMD, K_OWNER, K_GROUP, K_CREATED,
	K_OPENING,   /* repeated, u64: handles of who has `in` open; of exec/NAME: the opening */
	K_MODE,      /* u64: O_ACCMODE of that opening */

	/* the run before: of one that runs or waits the one that ended last */
	K_LAST_CODE = 192, K_LAST_SIGNAL, K_LAST_REASON, K_LAST_STARTED, K_LAST_FINISHED, /* as without LAST */

	K_TROUBLE,   /* repeated: what is amiss with what runs, in words, and what to do */
};

/* K_STATE of W_CONTAINER (the numbers of the engine's container_state) and of W_SESSION. */
enum wire_state { WIRE_WAITING, WIRE_RUNNING, WIRE_PAUSED, WIRE_TERMINATED };
#define RAN_STOPPING 4 /* K_STATE's place in logs/ID/last: it ran and was being stopped, not to start again */
enum wire_session_state { WIRE_SESSION_RUNNING, WIRE_SESSION_ENDED, WIRE_SESSION_NEW };

struct wire_head {
	uint16_t version, op;
	uint32_t seq;
	int32_t result;
	uint32_t len; /* bytes of fields behind the header */
};

/* A message being written. */
struct wire_out {
	struct buf b;
	int fds[WIRE_FDS]; /* borrowed: they are not closed */
	int nfds;
};

void wire_begin(struct wire_out *o, enum wire_op op, uint32_t seq);
void wire_result(struct wire_out *o, int result); /* for W_REPLY: 0 or -errno */
void wire_put(struct wire_out *o, enum wire_key key, const void *data, size_t len);
void wire_str(struct wire_out *o, enum wire_key key, const char *s); /* NULL: no field */
void wire_u64(struct wire_out *o, enum wire_key key, uint64_t v);
void wire_fd(struct wire_out *o, int fd);
void wire_free(struct wire_out *o);

/* Can it be sent at all? 0, -EMSGSIZE, -ENOMEM. */
int wire_check(const struct wire_out *o);

/* Sends without blocking. 0, -EAGAIN (nothing was sent), -EMSGSIZE (over WIRE_MAX),
 * -ENOMEM, -EPIPE … */
int wire_send(int sock, struct wire_out *o);

/* A message as it was received: points into the buffer it was read into. */
struct wire_in {
	struct wire_head head;
	const char *fields;
	size_t len;
	int fds[WIRE_FDS]; /* owned; wire_in_close closes what was not taken (taken: -1) */
	int nfds;
};

/* Receives one message into mem (WIRE_MAX bytes of the caller), without blocking.
 * 1: got one, 0: the other side has closed, -EAGAIN, -EPROTO (malformed: drop the
 * connection). Every field has been checked to lie within the message. */
int wire_recv(int sock, void *mem, size_t cap, struct wire_in *in);
void wire_in_close(struct wire_in *in);

/* Walks the fields: *pos starts at 0. False at the end. */
bool wire_next(const struct wire_in *in, size_t *pos, uint16_t *key, const char **data, size_t *len);
/* The first field with that key, or NULL. */
const char *wire_find(const struct wire_in *in, enum wire_key key, size_t *len);
/* As a number; dflt when it is missing or not eight bytes. */
uint64_t wire_get_u64(const struct wire_in *in, enum wire_key key, uint64_t dflt);
/* As a NUL-terminated string: fields are stored with a NUL behind them. NULL when missing
 * or when it holds a NUL of its own. */
const char *wire_get_str(const struct wire_in *in, enum wire_key key);

/* A connected or listening socket of this protocol: SOCK_SEQPACKET, CLOEXEC,
 * nonblocking, with room for WIRE_MAX. fd or -errno. */
int wire_socketpair(int sv[2]);
/* dirfd/name: reached through /proc/self/fd, as sun_path holds only 107 bytes. */
int wire_listen(int dirfd, const char *name);
int wire_connect(int dirfd, const char *name);
int wire_accept(int listener); /* refuses a peer that is not root or the own uid */

#endif
