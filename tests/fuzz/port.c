/* Published ports: what is taken can be held, and reads back as the same. */
#include "runtime/parse/parse.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct port p = { 0 }, again = { 0 };
	struct err e = { 0 };
	int r = parse_port((const char *)data, size, &p, &e);
	if (r) {
		PROMISE(r == -EINVAL && e.code == EINVAL && *e.text && !p.count);
		return 0;
	}
	PROMISE(p.count && p.host && p.pod && p.host + p.count - 1 <= 65535 && p.pod + p.count - 1 <= 65535);
	PROMISE(p.proto == IPPROTO_TCP || p.proto == IPPROTO_UDP);
	PROMISE(p.family != AF_UNSPEC || port_is_any(&p));
	PROMISE(ports_overlap(&p, &p));
	char text[PORT_TEXT];
	format_port(&p, text);
	PROMISE(strlen(text) < PORT_TEXT);
	PROMISE(!parse_port(text, strlen(text), &again, &e));
	PROMISE(!memcmp(&p, &again, sizeof p));
	return 0;
}
