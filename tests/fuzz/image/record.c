/* Records of images: one that is read can be written and read again, the same, and shown. */
#include "runtime/image/record.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void shown(const struct image *img)
{
	struct buf out = { 0 };
	image_show(img, &out);
	for (size_t i = 0; i < out.len; i++)
		PROMISE((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n');
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image *img = NULL, *again = NULL;
	struct buf one = { 0 }, two = { 0 };
	struct err e = { 0 };
	int r = image_record_read("r", (const char *)data, size, &img, &e);
	if (r) {
		PROMISE(r < 0 && e.code == -r && *e.text && !img);
		return 0;
	}
	PROMISE(img->canonical && img->written && img->digest);
	shown(img);
	if (!image_record_write(img, &one, &e)) {
		PROMISE(!image_record_read("r", one.data, one.len, &again, &e));
		PROMISE(!image_record_write(again, &two, &e) && !strcmp(one.data, two.data));
	}
	buf_free(&one);
	buf_free(&two);
	image_free(img);
	image_free(again);
	return 0;
}
