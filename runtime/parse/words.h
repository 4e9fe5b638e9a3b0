/* The two ways of writing words share these; internal to runtime/parse. */
#ifndef PODFS_PARSE_WORDS_H
#define PODFS_PARSE_WORDS_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

#define WORDS_MAX 4096

int words_add(struct strs *out, const struct buf *word, struct err *e);
/* text begins with `[`, after white space. */
int json_words(const char *text, size_t len, struct strs *out, struct err *e);
/* The other way, on one line. The words are UTF-8. */
void json_put_words(const struct strs *words, struct buf *out);

#endif
