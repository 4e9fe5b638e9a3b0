/* Errors that carry a sentence.
 *
 * Owns: struct err, the errno and the words that a person will read in an
 * `error` file. Must not log or print: that happens once, at the edge.
 * Runs in every process.
 *
 * House rule: a function returns 0 or -errno; where somebody will read the
 * reason it takes a struct err * last (NULL: the caller does not care), fills
 * it on failure only, and leaves its other outputs untouched.
 */
#ifndef PODFS_BASE_ERR_H
#define PODFS_BASE_ERR_H

#include <stddef.h>

struct err {
	int code;       /* a positive errno; 0: nothing is set */
	char text[480]; /* one line, no newline at the end, names the object */
};

/* Sets code and sentence (replacing what stood there); returns -code. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and strerror(code) behind the sentence. */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the sentence, as the error travels upwards. Returns -code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
