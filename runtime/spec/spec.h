/* What is wanted of a pod: its settings, independent of how they are written.
 *
 * One description, several writings of it: the files of the tree, the INI record on
 * disk, pod.yaml. A setting is one row of spec_fields[]: how its text is read and how it
 * is written back. Record and tree use the same rows, so what the tree accepts is what
 * the record can hold.
 *
 * Must not know FUSE, the kernel or the clock. Runs in podfs-server; fuzzed.
 */
#ifndef PODFS_SPEC_H
#define PODFS_SPEC_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define SPEC_VALUE_MAX (64 * 1024)   /* bytes of one setting: E2BIG beyond */
#define SPEC_RECORD_MAX (160 * 1024) /* bytes of one pod's record: E2BIG beyond */
#define SPEC_SENT_MAX (180 * 1024)   /* with the texts of hosts and resolv.conf, which it has too: fits a wire message */
#define SPEC_NAME_MAX 63             /* RFC 1123 label */
#define SPEC_CNI_MAX 63              /* name of a CNI network */
#define LIMIT_MAX UINT64_MAX         /* "max" */

enum restart_policy { RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS };
enum pull_policy { PULL_IF_NOT_PRESENT, PULL_ALWAYS, PULL_NEVER };
enum net_mode { NET_BRIDGE, NET_NONE, NET_HOST, NET_CNI };

/* A list of strings; v has a NULL behind the last. */
struct strs {
	char **v;
	size_t n;
};

struct limits {
	bool has_memory_max, has_memory_high, has_cpu_max, has_cpu_weight, has_pids_max;
	uint64_t memory_max, memory_high; /* bytes, or LIMIT_MAX */
	uint64_t cpu_quota, cpu_period;   /* µs; quota LIMIT_MAX: no limit */
	uint64_t cpu_weight;              /* 1-10000 */
	uint64_t pids_max;                /* or LIMIT_MAX */
};

struct container_spec {
	char name[SPEC_NAME_MAX + 1];
	uint64_t serial; /* of its nodes in the tree; never reused */
	uint64_t created_ns;
	char *image;     /* reference as it was written; NULL: none yet */
	bool has_pull;   /* pull is set; else it is the node's */
	enum pull_policy pull;
	bool start_pending; /* it is to start as soon as its image is on the node: key `start = pending` of the record */
	bool has_command, has_args; /* a set but empty list differs from an unset one, as in Kubernetes */
	struct strs command, args;
	struct strs env; /* KEY=VALUE, in the order written; a later one wins */
	char *workdir;   /* absolute; NULL: the image's */
	char *user;      /* USER[:GROUP]; NULL: the image's */
	struct limits limits;
};

/* Where a pod's network namespace comes from. */
struct net_choice {
	enum net_mode mode;
	char cni[SPEC_CNI_MAX + 1]; /* NET_CNI: the network's name */
};

struct pod_spec {
	char name[SPEC_NAME_MAX + 1];
	char uid[37]; /* RFC 4122, lower case */
	uint64_t serial;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uid_t owner;
	gid_t group;
	mode_t mode;         /* permission bits of the pod's folder */
	char hostname[65];   /* UTS name */
	uint32_t grace;      /* seconds */
	enum restart_policy restart;
	bool share_pid;      /* ipc, net and uts always are */
	struct strs labels, annotations; /* KEY=VALUE */
	struct limits limits;
	struct net_choice net;
	uint64_t host;       /* its host number in the bridge's subnets; 0: none. The lease: key `host` of the record */
	struct strs ip;      /* ADDRESS/PREFIX as it was last attached, IPv4 first; key `ip`, blanks between them */
	struct strs ports;   /* published ports, as format_port writes them */
	uint64_t rate_in, rate_out; /* bits a second, as the pod sees it, or LIMIT_MAX */
	char *hosts;         /* as written, but for the lines of the pod's own name, which follow name and addresses (etc.c); NULL: made */
	char *resolv;        /* as written; NULL: resolv_made */
	char *resolv_made;   /* what resolv.conf is where nobody has written it; the engine's, not in the record */
	struct container_spec **containers; /* in the order defined */
	size_t ncontainers;
};

/* What these are where nobody has set them: of the node; the server takes them from its config.
 * 30, Never, IfNotPresent and bridge until then. */
struct spec_defaults {
	uint32_t grace;
	enum restart_policy restart;
	enum pull_policy pull;
	struct net_choice net;
};
extern struct spec_defaults spec_defaults;

struct pod_spec *pod_spec_new(void);      /* zeroed, but for what has a default; NULL: no memory */
void pod_spec_free(struct pod_spec *p);   /* with its containers */
struct container_spec *pod_spec_add(struct pod_spec *p, const char *name); /* NULL: no memory; the name is not checked */
void pod_spec_drop(struct pod_spec *p, struct container_spec *c); /* frees c */
struct container_spec *pod_spec_find(const struct pod_spec *p, const char *name);

/* NAME.SERIAL: what a container's cgroup and folders are called, and its name on the wire, so that a name can be
 * used again while its predecessor is still being stopped. */
#define CONTAINER_ID_MAX 80
static inline void container_spec_id(const struct container_spec *c, char out[CONTAINER_ID_MAX])
{
	snprintf(out, CONTAINER_ID_MAX, "%s.%llx", c->name, (unsigned long long)c->serial);
}

/* Where a setting stands. For a container's field both are given. */
struct spec_ref {
	struct pod_spec *pod;
	struct container_spec *container; /* NULL: the pod's own */
};

enum spec_scope { SPEC_POD = 1, SPEC_CONTAINER = 2 };
enum spec_form {
	SPEC_VALUE, /* one value; a trailing newline is dropped */
	SPEC_LINES, /* lines: `>` replaces, `>>` adds (interface.md, rule 3) */
};
enum spec_effect {
	SPEC_AT_START,  /* read when a container starts */
	SPEC_LIMIT,     /* a cgroup limit: applied at once */
	SPEC_HOSTNAME,  /* sethostname at once */
	SPEC_POLICY,    /* podfs-pod is told at once: restart, grace */
	SPEC_SHARE,     /* only while nothing runs */
	SPEC_NETWORK,   /* until the first container has run: another network namespace */
	SPEC_PORTS,     /* published at once, or refused */
	SPEC_RATE,      /* applied at once */
	SPEC_ETC,       /* files that containers see at once */
	SPEC_IMAGE,     /* writing it (re)starts the container */
	SPEC_INERT,     /* labels, annotations: nothing happens */
};

struct spec_field {
	const char *name; /* of the file, and key in the record */
	unsigned scope;   /* SPEC_POD | SPEC_CONTAINER */
	enum spec_form form;
	enum spec_effect effect;
	/* Reads the whole new text. Empty text sets the default again (image: -EINVAL). On failure nothing is
	 * changed and e names the value. -EINVAL, -E2BIG, -ENOMEM, -ERANGE, -EADDRINUSE. */
	int (*set)(struct spec_ref r, const char *text, size_t len, struct err *e);
	/* Appends the text that set would take, with a newline at the end; nothing when the
	 * setting is at its default and that default reads as empty. `memory.max` unset reads
	 * `max`, grace reads its number, … */
	void (*get)(struct spec_ref r, struct buf *out);
	/* True when it must be written into the record. */
	bool (*is_set)(struct spec_ref r);
};

/* hostname grace restart share labels annotations network ports net.ingress net.egress hosts resolv.conf (pod); image pull command args env workdir
 * user (container); memory.max memory.high cpu.max cpu.weight pids.max (both).
 * Ends with a row whose name is NULL. */
extern const struct spec_field spec_fields[];
const struct spec_field *spec_field_find(const char *name, enum spec_scope scope);

/* Checks and sets: length, NUL bytes (EINVAL), then field->set. e begins with the field's name. */
int spec_set(const struct spec_field *f, struct spec_ref r, const char *text, size_t len, struct err *e);

/* A DNS label: 0, or -EINVAL with a sentence; `what` is "pod" or "container". */
int name_check(const char *what, const char *name, struct err *e);

const char *restart_policy_name(enum restart_policy p); /* "Never", "OnFailure", "Always" */
const char *pull_policy_name(enum pull_policy p); /* "IfNotPresent", "Always", "Never" */
int pull_policy_read(const char *text, size_t len, enum pull_policy *out); /* 0 or -EINVAL */
/* The container's own, or the node's. */
enum pull_policy container_pull_policy(const struct container_spec *c);

/* bridge none host cni:NAME */
int net_choice_read(const char *text, size_t len, struct net_choice *out, struct err *e);
void net_choice_show(const struct net_choice *c, struct buf *out); /* without a newline */
/* The whole text of /etc/hosts and /etc/resolv.conf in the pod's containers. Own lines of hosts: localhost, then the pod's
 * hostname at each of its addresses (127.0.0.1 where it has none of its own). */
void hosts_text(const struct pod_spec *p, struct buf *out);
/* The other lines: `ADDRESS NAME...`, without comments. 0 or -ENOMEM. */
int hosts_others(const struct pod_spec *p, struct strs *out);
void resolv_text(const struct pod_spec *p, struct buf *out);

/* The record: INI text that inih reads back to the same spec (record.c). It holds
 * [pod] with uid, name, serial, created, owner, group, mode and the set fields, then one
 * [container] a container, `name` first. Values are escaped so that no length, byte or
 * inih limit (200 bytes a line, 50 a section name) can lose anything. */
int record_write(const struct pod_spec *p, struct buf *out, struct err *e); /* -E2BIG, -ENOMEM */
int record_read(const char *text, size_t len, struct pod_spec **out, struct err *e); /* -EINVAL … */

bool is_ip(const char *text, size_t len); /* ADDRESS/PREFIX, as the record's `ip` takes it */

/* Lists of strings. */
void strs_free(struct strs *s);
int strs_add(struct strs *s, const char *text, size_t len); /* copies; 0 or -ENOMEM */
int strs_copy(struct strs *to, const struct strs *from);
/* Value of KEY in KEY=VALUE lines, the last one wins; NULL: not there. */
const char *strs_lookup(const struct strs *s, const char *key);

#endif
