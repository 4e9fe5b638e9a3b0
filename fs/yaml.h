/* A small writer of YAML: blocks of maps and lists, strings as JSON strings.
 *
 * Indentation is kept here and nowhere else. A string is written in double quotes with the escapes
 * that JSON and YAML 1.1 (as Go's parsers read it) have in common, so that no value can be
 * mis-read as a number, a boolean or markup. What is not UTF-8 becomes U+FFFD. Knows nothing of pods.
 *
 * Runs in podfs-server. Out of memory shows in the buffer (buf_status).
 */
#ifndef PODFS_FS_YAML_H
#define PODFS_FS_YAML_H

#include "runtime/base/buf.h"

#include <stdint.h>

struct yaml {
	struct buf *out;
	unsigned depth; /* of the line that comes next */
	bool dash;      /* that line begins an item of a list */
};

/* Keys are plain words of the writer's own; those that users make go through yaml_pair. */
void yaml_map(struct yaml *y, const char *key);  /* KEY:, and what follows is below it */
void yaml_list(struct yaml *y, const char *key); /* KEY:, and items follow */
void yaml_item(struct yaml *y);                  /* the next line begins an item, those after it are below it */
void yaml_end(struct yaml *y);                   /* of a map, a list or an item; each must have had a line */

void yaml_str(struct yaml *y, const char *key, const char *value);
void yaml_pair(struct yaml *y, const char *key, size_t keylen, const char *value); /* key quoted too */
void yaml_strn(struct yaml *y, const char *key, const char *value, size_t len);
/* A word of the writer's own, plain, as kubectl prints it: never a user's, never one that reads as a boolean. */
void yaml_word(struct yaml *y, const char *key, const char *word);
void yaml_int(struct yaml *y, const char *key, int64_t value);
void yaml_bool(struct yaml *y, const char *key, bool value);
void yaml_empty_list(struct yaml *y, const char *key);
void yaml_scalar(struct yaml *y, const char *value); /* a string as an item: `- "value"` */

/* The string with its quotes. */
void yaml_quote(struct buf *out, const char *text, size_t len);

#endif
