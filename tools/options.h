/* The command line of podfs, and what its -o options mean.
 *
 * Owns struct options. Splits -o into what mount(8) and FUSE take and what is a key of the
 * config; reads the config. Mounts nothing, starts nothing. Runs in podfs (the keeper).
 */
#ifndef PODFS_OPTIONS_H
#define PODFS_OPTIONS_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/parse/config.h"

#include <stdbool.h>

struct options {
	bool help, version, foreground;
	const char *mountpoint;  /* as it was given */
	char *fsname;            /* what df shows as the source */
	unsigned long flags;     /* MS_… of mount(2) */
	struct buf data;         /* further data of mount(2), each with a comma before it */
	struct strs set;         /* KEY=VALUE of the config, in the order given */
	char *config;            /* absolute path of the file that is read; NULL: there is none */
	struct config cfg;
};

/* Reads argv, then the config file, then the -o keys over it. -EINVAL: the command line is
 * wrong; other errors: the config. e names option, or file and line. */
int options_read(struct options *o, int argc, char **argv, struct err *e);
void options_free(struct options *o);

#endif
