/* Openings: see handle.h. */
#include "fs/handle.h"

#include "runtime/base/util.h"

static struct handle **bucket(struct fs *fs, uint64_t fh)
{
	return &fs->handles[fh % HANDLE_BUCKETS];
}

struct handle *handle_adopt(struct fs *fs, const struct node *n, uint64_t fh, int flags, uid_t uid)
{
	struct handle *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	*h = (struct handle){ .fs = fs, .fh = fh, .ino = n->id, .row = n->row, .flags = flags, .uid = uid,
			      .open_flags = n->row->kind ? n->row->kind->open_flags : 0 };
	struct handle **b = bucket(fs, fh);
	h->next = *b;
	*b = h;
	return h;
}

struct handle *handle_new(struct fs *fs, const struct node *n, int flags, uid_t uid)
{
	return handle_adopt(fs, n, fs->request, flags, uid);
}

struct handle *handle_find(struct fs *fs, uint64_t fh)
{
	for (struct handle *h = *bucket(fs, fh); h; h = h->next)
		if (h->fh == fh)
			return h;
	return NULL;
}

void handle_free(struct handle *h)
{
	for (struct handle **p = bucket(h->fs, h->fh); *p; p = &(*p)->next)
		if (*p == h) {
			*p = h->next;
			break;
		}
	buf_free(&h->text);
	free(h);
}

void reply_slice(struct fuse_req *req, const void *mem, size_t len, size_t size, uint64_t off)
{
	if (off >= len) {
		reply_data(req, "", 0);
		return;
	}
	size_t left = len - (size_t)off;
	reply_data(req, (const char *)mem + off, left < size ? left : size);
}

void handle_reply_text(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	reply_slice(req, h->text.data, h->text.len, size, off);
}
