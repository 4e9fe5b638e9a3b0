/* What the log's tests stand on: a folder, a writer with its pipe, and a model of what was written.
 *
 * Owns the temporary folder. The model keeps every byte that the log says it kept, with its stream.
 */
#ifndef TEST_LOG_RIG_H
#define TEST_LOG_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/base/util.h"
#include "runtime/log/log.h"

struct rig {
	char path[64];
	int dir;      /* path */
	int pipe[2];
	struct log_writer w;
	struct log_reader *r;
	uint64_t max;
	uint32_t files;
	bool copy;    /* the way without splice */
	struct buf all, streams; /* model: bytes, and the stream of each */
	uint64_t run, prev;
	uint64_t first_ns; /* nothing was written before */
	bool mended; /* times may run back: a crash's rest has the file's mtime */
	uint32_t seed;
};

void rig_up(struct rig *g, uint64_t max, uint32_t files);
void rig_down(struct rig *g);
int rig_folder(const struct rig *g); /* a descriptor to hand on */
void rig_writer_again(struct rig *g);
void rig_reader_again(struct rig *g);

/* Writes into the pipe, pumps, and adds to the model what was kept. */
void rig_put(struct rig *g, enum log_stream s, const void *mem, size_t len);
void rig_puts(struct rig *g, enum log_stream s, const char *text);
void rig_run(struct rig *g);
uint32_t rig_random(struct rig *g, uint32_t below);

/* The size that the view should have; and its bytes from an offset of LOG_ALL on, for LOG_TIMESTAMPS with stamps as dots. */
uint64_t rig_expect(const struct rig *g, enum log_view v, uint64_t from, struct buf *out);
/* Reads from off to the end in pieces; stamps become dots, and are checked. */
void rig_read(struct log_cursor *c, uint64_t off, size_t piece, struct buf *out);
void rig_hide_stamps(const struct rig *g, struct buf *text);
/* All views, sizes and oldest offsets against the model. */
void rig_check(struct rig *g);

#endif
