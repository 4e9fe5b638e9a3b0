/* When a server that has ended is started again, and when that is given up.
 *
 * Owns the numbers. Knows neither clock nor process, so that a row that takes minutes is tested in none. Runs in podfs (the
 * keeper).
 */
#ifndef PODFS_ROW_H
#define PODFS_ROW_H

#include <stdbool.h>
#include <stdint.h>

#define ROW_MAX 10 /* failures in a row: one more, and it is given up. 25 s of waiting */

struct row {
	unsigned failures; /* in a row */
	unsigned kills;    /* of servers that had just become ready, in a row */
};

/* How a server lived. */
struct life {
	bool ready;   /* it said so */
	bool killed;  /* ended by SIGKILL */
	bool hung;    /* it said nothing for so long that the keeper ended it */
	uint64_t ms;  /* from ready to its end */
};

/* Counts one more end: milliseconds until the next start; -1: it is given up. */
int row_next(struct row *row, const struct life *life);

#endif
