/* The config file: a good one shows as text that is again a good one. */
#include "runtime/base/util.h"
#include "runtime/parse/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>

/* 0 or what config_read_file says. */
static int read_config(struct config *c, const void *text, size_t len)
{
	struct err e = { 0 };
	char path[64];
	_cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
	PROMISE(fd >= 0 && !write_all(fd, text, len) && !config_defaults(c));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int r = config_read_file(c, path, &e);
	PROMISE(!r || (r < 0 && e.code == -r && !strncmp(e.text, path, strlen(path))));
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct buf text = { 0 }, again = { 0 };
	if (!read_config(&c, data, size)) {
		buf_puts(&text, "[node]\n");
		config_show(&c, &text);
		char *own = strstr(text.data, "config = ");
		memcpy(own, "; config", 8); /* cannot stand in the file */
		config_free(&c);
		PROMISE(!read_config(&c, text.data, text.len));
		buf_puts(&again, "[node]\n");
		config_show(&c, &again);
		PROMISE(!strcmp(strstr(again.data, "state = "), strstr(text.data, "state = ")));
	}
	config_free(&c);
	buf_free(&text);
	buf_free(&again);
	return 0;
}
