/* Users of the host by name: see users.h. */
#include "runtime/base/users.h"

#include "runtime/base/util.h"

#include <pwd.h>
#include <string.h>

static uid_t by_number(const char *name)
{
	unsigned long long n = strtoull(name, NULL, 10);
	return n < UINT32_MAX ? (uid_t)n : (uid_t)-1;
}

uid_t user_find(const char *name)
{
	if (*name && !name[strspn(name, "0123456789")])
		return by_number(name);
	_cleanup_file_ FILE *f = fopen("/etc/passwd", "re");
	for (struct passwd *p; f && (p = fgetpwent(f));)
		if (!strcmp(p->pw_name, name))
			return p->pw_uid;
	return (uid_t)-1;
}

bool user_exists(const char *name)
{
	return user_find(name) != (uid_t)-1;
}
