/* When to start again: see row.h. */
#include "tools/row.h"

#define CALM_MS 1000       /* a server that lived that long was not one of a row */
#define KILLED_CALM_MS 200 /* the same of one that was killed */
#define FIRST_DELAY_MS 50  /* before the second start of a row; doubles */
#define KILLED_DELAY_MS 1000 /* at most between two that others kill as soon as they are ready */
#define HANG 5             /* failures that a hang counts for: at the third in a row its users have waited for three minutes */

static int delay(unsigned before)
{
	return before ? FIRST_DELAY_MS << (before - 1) : 0;
}

/* Others do that, and it served meanwhile: never given up. For want of memory they may do it for hours. */
static int after_kill(struct row *row, uint64_t ms)
{
	row->kills = ms > KILLED_CALM_MS ? 0 : row->kills + 1;
	if (row->kills > ROW_MAX)
		row->kills = ROW_MAX;
	int wait = delay(row->kills);
	return wait < KILLED_DELAY_MS ? wait : KILLED_DELAY_MS;
}

int row_next(struct row *row, const struct life *life)
{
	if (life->ready && (life->killed || life->ms > CALM_MS))
		row->failures = 0;
	if (life->ready && life->killed)
		return after_kill(row, life->ms);
	row->kills = 0;
	if (row->failures >= ROW_MAX)
		return -1;
	int wait = delay(row->failures);
	row->failures += life->hung ? HANG : 1;
	return wait;
}
