/* Image references: the canonical form is its own canonical form, and where it leads is no option of skopeo's. Also KEY=VALUE lines and names. */
#include "runtime/parse/parse.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void lines(const char *text, size_t size)
{
	struct err e = { 0 };
	int env = check_kv(KV_ENV, text, size, &e);
	PROMISE(env || memchr(text, '=', size));
	PROMISE(!env || check_kv(KV_LABEL, text, size, &e));
	PROMISE(!check_kv(KV_LABEL, text, size, &e) ? !check_kv(KV_ANNOTATION, text, size, &e) : e.code == EINVAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_ref ref = { 0 }, again = { 0 };
	struct err e = { 0 };
	lines((const char *)data, size);
	int r = parse_reference((const char *)data, size, &ref, &e);
	if (r) {
		PROMISE(r < 0 && e.code == -r && *e.text && !ref.canonical);
		return 0;
	}
	for (const char *c = ref.canonical; *c; c++)
		PROMISE((unsigned char)*c >= 0x20);
	PROMISE(!parse_reference(ref.canonical, strlen(ref.canonical), &again, &e));
	PROMISE(!strcmp(ref.canonical, again.canonical) && !ref.dir == !again.dir);
	PROMISE(!strcmp(ref.source, again.source) && ref.local == again.local);
	PROMISE(ref.local ? !strcmp(ref.source, ref.canonical) && strchr(ref.source, ':') :
			    !strncmp(ref.source, "docker://", 9) && !strcmp(ref.source + 9, ref.canonical));
	PROMISE(!ref.dir || (ref.local && *ref.dir == '/'));
	image_ref_free(&ref);
	image_ref_free(&again);
	return 0;
}
