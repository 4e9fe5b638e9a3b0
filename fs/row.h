/* The tables of files: one row a file.
 *
 * A row says where a file stands, what it is called, its mode, and which kind of file it is; lookup, readdir, getattr and
 * open all read the same row. A kind (text, setting, log, stream …) is a set of functions that the rows
 * share. tables.c has the rows and knows no request. Runs in podfs-server.
 */
#ifndef PODFS_FS_ROW_H
#define PODFS_FS_ROW_H

#include "fs/ref.h"
#include "fs/show.h"

#include <sys/stat.h>

struct fs;
struct fuse_req;
struct handle;
struct node;
struct row;

/* What a row is about, and so what the serial in a node id names. */
enum scope { SCOPE_NODE = 1, SCOPE_POD, SCOPE_CONTAINER, SCOPE_SESSION, SCOPE_IMAGE };

struct kind {
	unsigned open_flags;
	/* 0, -errno, or PARKED: the function answers the request itself. NULL: nothing to do. */
	int (*open)(struct node *n, struct handle *h, struct fuse_req *req);
	/* An opening of a server that is gone, made anew; off is where it goes on. NULL: what is read is opened again, what is
	 * written is lost. */
	int (*adopt)(struct node *n, struct handle *h, uint64_t off);
	/* Both answer the request or park it. A reader or writer that must not wait has O_NONBLOCK in h->flags. */
	void (*read)(struct handle *h, struct fuse_req *req, size_t size, uint64_t off);
	void (*write)(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off);
	/* close(2), once for each descriptor; answers or parks. NULL: 0. */
	void (*flush)(struct handle *h, struct fuse_req *req);
	/* The last descriptor is gone; h is freed afterwards. */
	void (*release)(struct handle *h);
	/* EPOLL… events that hold now. NULL: always readable and writable. */
	unsigned (*ready)(struct handle *h);
	/* True size and time of change, where they are known. */
	void (*stat)(const struct node *n, struct stat *st);
	/* ftruncate(2) on h. NULL: accepted, means nothing. */
	void (*truncate)(struct handle *h, uint64_t size);
};
#define PARKED 1

struct row {
	const char *name; /* NULL: an object's, its lister names it */
	uint8_t parent;   /* row of the folder it stands in */
	uint8_t scope;
	bool fresh;       /* each lookup makes an inode of its own: nobody waits for another's inode lock */
	mode_t mode;      /* type and permissions as of a pod of mode 0777 */
	const struct kind *kind;
	show_fn *show;    /* kind text */
	int arg;          /* of the kind: which stream, which view, what is waited for, which namespace */
};

/* Numbers are part of node ids: one that was given is never given to another file, so that what is open outlives
 * an upgrade. Those without a name here are only in tables.c. */
enum row_id {
	R_ROOT = 1, /* FUSE_ROOT_ID */
	R_NODE = 2,
	R_IMAGES = 3,
	R_IMAGE_DIR = 4,
	R_IMAGE = 5,
	R_POD = 20,
	R_CONTAINERS = 21,
	R_LOGS = 22,
	R_EXEC = 23,
	R_WAIT = 24,
	R_NS = 25,
	R_NS_PID = 26,
	R_CONTAINER = 90,
	R_CWAIT = 91,
	R_LOG = 92,
	R_SHELL = 97,
	R_SESSION = 150,
};
#define ROWS 256

extern const struct row rows[ROWS];

unsigned row_number(const struct row *r);
/* The row of that name in the folder; NULL: none. */
const struct row *row_find(unsigned folder, const char *name);
/* The first row of the folder above after (0: from the start); NULL: no more. */
const struct row *row_next(unsigned folder, unsigned after);

/* Kinds, each in a file of its own. */
extern const struct kind kind_text;    /* text.c: made when it is opened */
extern const struct kind kind_setting; /* value.c: spec_fields[] */
extern const struct kind kind_ctl;     /* ctl.c */
extern const struct kind kind_wait;    /* wait.c */
extern const struct kind kind_exit;    /* wait.c: exit of a session */
extern const struct kind kind_ring;    /* ringfile.c */
extern const struct kind kind_log;     /* logfile.c */
extern const struct kind kind_option;  /* session.c: container tty winsize of a session */
extern const struct kind kind_cmd;     /* session.c */
extern const struct kind kind_stream;  /* stream.c: in out err of a session */
extern const struct kind kind_shell;   /* shell.c: exec/NAME */
extern const struct kind kind_image;   /* upload.c */
extern const struct kind kind_pull;    /* pull.c */

enum ring_of { RING_EVENTS, RING_ERROR, RING_LEAKS };
enum option_of { OPTION_CONTAINER, OPTION_TTY, OPTION_WINSIZE };
enum stream_of { STREAM_IN, STREAM_OUT, STREAM_ERR };
/* arg of image, command and pull of a pod: they are those of the container that has the pod's name. */
#define SHORTHAND 1

#endif
