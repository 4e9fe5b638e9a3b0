/* Readers of what people write: quantities, words, references, verbs.
 *
 * Bytes in, value or error out. Know neither FUSE nor the kernel nor the disk; keep
 * nothing. Each is fuzzed. All take (text, len), need no NUL behind it, and leave their
 * outputs untouched on failure.
 */
#ifndef PODFS_PARSE_H
#define PODFS_PARSE_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

#include <netinet/in.h>
#include <stdbool.h>

/* Bytes: `256M`, `256Mi`, `1Gi`, `1.5G`, `max`, plain digits. K M G T P E and Ki … are powers
 * of 1024 (interface.md); lower-case k m g t p too, as the kernel reads them; `1e9` as in Kubernetes. A part of
 * a byte counts as one. -EINVAL (`10Q`, `-1`, `1e9G`, empty), -ERANGE (does not fit 63 bits). */
int parse_bytes(const char *text, size_t len, uint64_t *out, struct err *e);
/* A count 0…2^63-1 or `max`. */
int parse_count(const char *text, size_t len, uint64_t *out, struct err *e);
/* CPU as `0.5`, `2`, `500m`, `max`, or cgroup's `50000 100000` and `max 100000`. Result in µs of
 * quota and period (100000 unless given); the kernel's bounds are checked: period 1000…1000000, quota at
 * least 1000 (Documentation/admin-guide/cgroup-v2.rst, kernel/sched/core.c). */
int parse_cpu(const char *text, size_t len, uint64_t *quota, uint64_t *period, struct err *e);
/* Seconds, 0…86400*365; also `30s`, `2m`, `1h`. */
int parse_seconds(const char *text, size_t len, uint32_t *out, struct err *e);
/* The same with fractions (`0.1`), in ms; at most 2^32-1 of them. */
int parse_millis(const char *text, size_t len, uint32_t *out, struct err *e);

/* Words as a shell splits them: blanks, '…', "…" (backslash before " \ $ ` and newline), backslash; no
 * expansion. A text whose first non-blank byte is `[` is a JSON array of strings (full JSON string
 * escapes, UTF-8 checked). -EINVAL with where and what (`quote not closed`), -E2BIG (over 4096 words). */
int parse_words(const char *text, size_t len, struct strs *out, struct err *e);
/* The other way: text that parse_words reads back to the same words; simple words stay plain. It is one line, a JSON array where a
 * word is of several, unless words of several lines are not UTF-8. */
void format_words(const struct strs *words, struct buf *out);

/* Image references (distribution/reference, as containers-registries and Docker normalise them).
 * `nginx` -> docker.io/library/nginx:latest, `localhost:5000/a/b`, `x@sha256:…`.
 *
 * And containers-transports(5): `docker://nginx` is the same as `nginx`; `oci:/PATH[:NAME]`, `oci-archive:/PATH[:NAME]`,
 * `docker-archive:/PATH[:NAME]`, `containers-storage:…` and `dir:/PATH` stand for themselves: canonical is the
 * text. Their paths are absolute (`oci:5000/x` is a registry's). */
struct image_ref {
	char *canonical; /* docker.io/library/nginx:alpine, or …@sha256:…; free with image_ref_free */
	char *source;    /* where skopeo finds it: docker://CANONICAL, or the canonical text itself */
	char *dir;       /* of a `dir:/path` reference: the absolute path. Most often a root file system; podfs-pod finds
	                    out when it is the `dir` transport's image instead */
	bool local;      /* a path or a storage of this host: for root only */
};
int parse_reference(const char *text, size_t len, struct image_ref *out, struct err *e);
void image_ref_free(struct image_ref *r);
/* The reference as a name: without `docker://`, which says nothing. Points into it. */
const char *reference_name(const char *reference);

/* Control verbs of `ctl`: start stop restart pause unpause kill [SIGNAL]. */
enum ctl_verb { CTL_START, CTL_STOP, CTL_RESTART, CTL_PAUSE, CTL_UNPAUSE, CTL_KILL };
struct ctl {
	enum ctl_verb verb;
	int signal; /* for kill; SIGKILL when none is named */
};
int parse_ctl(const char *text, size_t len, struct ctl *out, struct err *e);
/* `TERM`, `SIGTERM`, `15`, `RTMIN+3`: -EINVAL. */
int parse_signal(const char *text, size_t len, int *out, struct err *e);
const char *signal_name(int sig); /* "SIGTERM"; static; "SIG34" style for those without a name */

/* `ROWS COLS`, each 1…65535. */
int parse_winsize(const char *text, size_t len, unsigned *rows, unsigned *cols, struct err *e);

/* A published port: `8080:80`, `8080:80/tcp`, `53:53/udp`, `127.0.0.1:8080:80`, `[::1]:8080:80`, `8000-8010:80-90`.
 * Without an address it is published at every address of the host; `0.0.0.0` is every IPv4 address, `[::]` every IPv6
 * one. -EINVAL, also for sctp and for a port alone (`80`). */
struct port {
	uint8_t proto;      /* IPPROTO_TCP, IPPROTO_UDP */
	sa_family_t family; /* AF_INET, AF_INET6; AF_UNSPEC: both, addr is zero */
	uint8_t addr[16];   /* as in a packet; what the family does not need is zero */
	uint16_t host, pod; /* the first of count ports each */
	uint16_t count;
};
int parse_port(const char *text, size_t len, struct port *out, struct err *e);
#define PORT_TEXT 80
void format_port(const struct port *p, char out[PORT_TEXT]); /* canonical, always with /tcp or /udp */
bool port_is_any(const struct port *p);                      /* every address of its family, or of both */
bool ports_overlap(const struct port *a, const struct port *b); /* they can't be held both */

/* Subnets that pods can be given: `10.213.0.0/20` (/8 to /29), `fd00:1::/64` (/64 to /120), no bit set behind the prefix, of
 * addresses that hosts can have. 0 or -EINVAL with a sentence. */
int check_subnet(const char *text, size_t len, sa_family_t family, struct err *e);

/* A KEY=VALUE line of env (KEY: no '=', not empty), or of labels and annotations (Kubernetes' syntax of
 * label keys and values: kubernetes.io/docs/concepts/overview/working-with-objects/labels). */
enum kv_kind { KV_ENV, KV_LABEL, KV_ANNOTATION };
int check_kv(enum kv_kind kind, const char *text, size_t len, struct err *e);

/* Before jansson sees a text from outside: it takes some 300 bytes for `{},` and recurses for `[[`. -EINVAL: nested deeper
 * than depth levels, -E2BIG: more than so many values of all kinds. Whether it is JSON is not looked at. */
int json_bounds(const char *text, size_t len, unsigned depth, unsigned values, struct err *e);

/* INI through inih: the only file of the project that includes it is runtime/parse/ini.c.
 *
 * Debian's inih cuts lines at 200 bytes, and section names and continued keys at 50, without a word.
 * ini_read hands inih long lines in parts and joins the parts again, and refuses what inih
 * could not carry whole, naming the line. */
typedef int ini_fn(void *arg, const char *section, const char *key, const char *value, size_t len, int line,
		   struct err *e); /* 0, or -errno with a sentence: reading ends */
int ini_read(const char *what, const char *text, size_t len, ini_fn *fn, void *arg, struct err *e);
/* key = value, with value escaped so that ini_unescape gives the same bytes, whatever they are. */
void ini_write(struct buf *out, const char *key, const char *value, size_t len);
int ini_unescape(const char *text, size_t len, struct buf *out, struct err *e);

#endif
