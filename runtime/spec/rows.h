/* The functions of spec_fields[]: one triple a setting. Internal to runtime/spec. */
#ifndef PODFS_SPEC_ROWS_H
#define PODFS_SPEC_ROWS_H

#include "runtime/spec/spec.h"

#define FIELD_FUNCTIONS(name)                                                             \
	int name##_set(struct spec_ref r, const char *text, size_t len, struct err *e);   \
	void name##_get(struct spec_ref r, struct buf *out);                              \
	bool name##_is_set(struct spec_ref r)

/* of_pod.c */
FIELD_FUNCTIONS(hostname);
FIELD_FUNCTIONS(grace);
FIELD_FUNCTIONS(restart);
FIELD_FUNCTIONS(share);
FIELD_FUNCTIONS(labels);
FIELD_FUNCTIONS(annotations);

/* of_net.c */
FIELD_FUNCTIONS(network);
FIELD_FUNCTIONS(ports);
FIELD_FUNCTIONS(net_ingress);
FIELD_FUNCTIONS(net_egress);

/* etc.c */
FIELD_FUNCTIONS(hosts);
FIELD_FUNCTIONS(resolv_conf);

/* of_container.c */
FIELD_FUNCTIONS(image);
FIELD_FUNCTIONS(pull);
FIELD_FUNCTIONS(command);
FIELD_FUNCTIONS(args);
FIELD_FUNCTIONS(env);
FIELD_FUNCTIONS(workdir);
FIELD_FUNCTIONS(user);

/* limits.c */
FIELD_FUNCTIONS(memory_max);
FIELD_FUNCTIONS(memory_high);
FIELD_FUNCTIONS(cpu_max);
FIELD_FUNCTIONS(cpu_weight);
FIELD_FUNCTIONS(pids_max);

/* lines.c: lists of KEY=VALUE lines. Replaces *to by the lines of text. */
#include "runtime/parse/parse.h"
int lines_set(enum kv_kind kind, struct strs *to, const char *text, size_t len, struct err *e);
void lines_get(const struct strs *from, struct buf *out);

#endif
