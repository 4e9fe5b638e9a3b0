/* The JSON of CNI: networks of /etc/cni/net.d, what plugins are given, what they answer, the cached result.
 *
 * cni_json.c is the only file of podfs-net that includes jansson. Bytes in, values out: knows neither the disk nor processes.
 * Size, depth and number of values are bounded before jansson sees a text. Names are those of the CNI specification (SPEC.md).
 */
#ifndef PODFS_NET_CNI_JSON_H
#define PODFS_NET_CNI_JSON_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/parse/parse.h"

#include <stdbool.h>

#define CNI_JSON_MAX (1024 * 1024)

struct json_t;

/* A chain of plugins. */
struct cni_net {
	struct json_t *list;        /* as a .conflist has it; a single plugin's .conf was made a list of one */
	const char *name, *version; /* in list */
	size_t n;                   /* plugins */
};

/* An attachment, as it is cached: all that DEL and CHECK need, whatever became of the configuration. */
struct cni_record {
	char uid[40], pod[64];
	char sandbox[64];       /* CNI_NETNS as ADD had it: results name it */
	char netns[80];         /* which namespace that was (cni_netns.h) */
	struct cni_net net;
	struct json_t *runtime; /* what runtimeConfig can carry, by capability */
	struct json_t *result;  /* of ADD; NULL: it has not ended */
};

/* -EINVAL, -EPROTONOSUPPORT (an unknown version); list: it is a .conflist. */
int cni_net_parse(const char *text, size_t len, bool list, struct cni_net *out, struct err *e);
void cni_net_free(struct cni_net *n);
const char *cni_net_type(const struct cni_net *n, size_t i);   /* file name of plugin i */
bool cni_net_can(const struct cni_net *n, const char *capability); /* one of the plugins */
/* Do plugins of this version get the result with DEL, and is there CHECK (0.4.0)? */
bool cni_net_is_new(const struct cni_net *n);
bool cni_net_unchecked(const struct cni_net *n); /* disableCheck */

/* What the pod wants of plugins; rates in bits a second, 0: none. NULL: no memory. */
struct json_t *cni_runtime(const struct port *ports, size_t n, uint64_t rate_in, uint64_t rate_out);

/* What plugin i of the record's chain reads. prev NULL: no prevResult; its sandbox is told as the one given. */
int cni_stdin(const struct cni_record *r, size_t i, const struct json_t *prev, const char *sandbox, struct buf *out);

/* What a plugin has printed after ADD. */
int cni_result_parse(const char *text, size_t len, struct json_t **out, struct err *e);
/* ADDRESS/PREFIX of the pod's interface, IPv4 first. */
int cni_result_addrs(const struct json_t *result, struct strs *out);
/* Addresses of the name servers that it names: nothing else, whatever stands there. */
int cni_result_dns(const struct json_t *result, struct strs *out);
/* What it has printed when it failed: code and words. False: that is no error of CNI's. */
bool cni_failure_parse(const char *text, size_t len, unsigned *code, struct buf *words);

int cni_record_text(const struct cni_record *r, struct buf *out);
int cni_record_parse(const char *text, size_t len, struct cni_record *out, struct err *e);
void cni_record_free(struct cni_record *r);
void cni_json_free(struct json_t **j);

#endif
