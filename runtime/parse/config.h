/* The node's settings: defaults, then the config file, then -o options.
 *
 * Owns struct config. Runs in the keeper (podfs) and the server, which both read the
 * same sources, so that nothing has to be handed over but the command line.
 */
#ifndef PODFS_CONFIG_H
#define PODFS_CONFIG_H

#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

struct config {
	char *config;  /* path of the file; absent is fine when it is the default one */
	char *state;   /* /var/lib/podfs */
	char *run;     /* /run/podfs */
	char *cgroup;  /* name of the folder below each cgroup hierarchy's root: podfs */
	char *users;   /* who besides root may make pods: names separated by blanks; empty: nobody */
	bool (*has_user)(const char *name); /* asked for each of them; NULL, as config_defaults leaves it: any may be there */
	char *subuid;  /* id range for user namespaces, START:COUNT; kept for the isolation issue */
	uint32_t max_pods;             /* 1000 */
	enum restart_policy restart;   /* Never */
	uint32_t grace;                /* 30 */
	uint64_t log_max;              /* bytes of one container's log segment: 16M */
	uint32_t log_files;            /* segments kept: 4 */
	uint32_t backoff_base, backoff_cap, backoff_reset; /* ms: 10000 300000 600000 (written in seconds, fractions allowed: 0.1) */
	enum pull_policy pull;         /* IfNotPresent */
	uint32_t pull_backoff_base, pull_backoff_cap; /* ms: 10000 300000 */
	uint32_t pull_stall;           /* seconds (1…86400) without a byte after which a pull is given up: 60 (kubelet's progress deadline) */
	uint64_t image_max;            /* bytes an image may unpack to: 64G */
	uint32_t image_gc_high, image_gc_low; /* per cent of the file system: 85 80 (kubelet's); high 100: never */
	struct net_choice network;     /* of a pod that says nothing: bridge */
	char *bridge;  /* name of the pods' link; written by nobody: config_finish gives it one */
	char *subnet4, *subnet6; /* ADDRESS/PREFIX, `auto`: one that the host does not use is chosen once and kept, `none` */
	char *cni_conf, *cni_bin; /* /etc/cni/net.d; folders of plugins as in PATH: /usr/lib/cni:/opt/cni/bin */
};

int config_defaults(struct config *c); /* 0 or -ENOMEM */
void config_free(struct config *c);
/* One key, from the file or from -o. Unknown: -ENOENT, bad value: -EINVAL, e says which.
 * state and run must be absolute. */
int config_set(struct config *c, const char *key, const char *value, struct err *e);
/* The file: [node] only. e says FILE:LINE: …. A missing file is -ENOENT, all that is wrong in it -EINVAL; c is then
 * half changed and of no use. */
int config_read_file(struct config *c, const char *path, struct err *e);
/* Once all are read: what keys say of each other (-EINVAL), and what follows from others. The bridge of a node is podfs0, that of
 * another instance, with a state folder of its own, is named after that folder. */
int config_finish(struct config *c, struct err *e);
/* Lines `key = value` of every key, for .node/config. */
void config_show(const struct config *c, struct buf *out);

#endif
