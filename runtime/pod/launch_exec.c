/* The last stage: environment, the command's place in PATH, execve.
 *
 * Child side, already with the container's rights. Tells podfs-pod that all went well just before; the socket
 * closes with the exec, and what comes after that word is a failure of the command itself.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" /* Docker's */

struct list {
	char **v; /* ends with NULL */
	size_t n;
};

static int list_add(struct list *ls, char *s)
{
	char **more = realloc(ls->v, (ls->n + 2) * sizeof *more);
	if (!more || !s)
		return -ENOMEM;
	ls->v = more;
	more[ls->n++] = s;
	more[ls->n] = NULL;
	return 0;
}

static size_t key_len(const char *env)
{
	return strcspn(env, "=");
}

static char **env_find(const struct list *env, const char *like)
{
	size_t n = key_len(like);
	for (size_t i = 0; i < env->n; i++)
		if (key_len(env->v[i]) == n && !memcmp(env->v[i], like, n))
			return &env->v[i];
	return NULL;
}

/* A later one wins. */
static int env_set(struct list *env, char *s)
{
	char **old = env_find(env, s);
	if (!old)
		return list_add(env, s);
	*old = s;
	return 0;
}

static char *join(const char *key, const char *value)
{
	char *s = NULL;
	return asprintf(&s, "%s=%s", key, value) < 0 ? NULL : s;
}

static int env_default(struct list *env, char *s)
{
	return s && env_find(env, s) ? 0 : list_add(env, s);
}

static int fields(const struct wire_in *in, enum wire_key key, struct list *out, int (*add)(struct list *, char *))
{
	size_t pos = 0, len;
	uint16_t k;
	const char *data;
	while (wire_next(in, &pos, &k, &data, &len))
		if (k == key && add(out, (char *)data))
			return -ENOMEM;
	return 0;
}

static int make_env(struct launch *l, struct list *env)
{
	if (fields(&l->plan, K_ENV, env, env_set) || env_default(env, (char *)DEFAULT_PATH) ||
	    env_default(env, join("HOME", l->home ? l->home : "/")) || env_default(env, join("HOSTNAME", l->pod->hostname)) ||
	    (l->tty && env_default(env, (char *)"TERM=xterm")))
		return -ENOMEM;
	return 0;
}

/* As execvp(3), but in the container's PATH, and what is no program is no script either. EACCES somewhere is remembered,
 * as a shell does. Returns the errno. */
static int search(char *const *argv, char *const *env, const char *path)
{
	char file[PATH_MAX];
	int result = ENOENT;
	for (const char *at = path;; at++) {
		size_t n = strcspn(at, ":");
		int len = snprintf(file, sizeof file, "%.*s%s%s", (int)n, at, n ? "/" : "./", argv[0]);
		errno = ENAMETOOLONG;
		if (len < (int)sizeof file)
			execve(file, argv, env);
		if (errno != ENOENT && errno != ENOTDIR && (result == ENOENT || result == EACCES))
			result = errno;
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
		at += n;
		if (!*at)
			return result;
	}
}

/* Exit statuses are the shell's. */
static int tell_failure(struct launch *l, const char *name, int err, struct err *e)
{
	bool by_path = strchr(name, '/') != NULL;
	bool absent = err == ENOENT || err == ENOTDIR;
	l->exit_code = absent ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	if (absent && !by_path)
		return err_set(e, ENOENT, "command %s: not found in PATH", name);
	if (absent && !access(name, F_OK))
		return err_set(e, ENOENT, "command %s: the interpreter that it names is not there", name);
	if (err == ENOEXEC)
		return err_set(e, ENOEXEC, "command %s: neither a program nor a script that begins with #!", name);
	return err_sys(e, err, "command %s", name);
}

int launch_exec(struct launch *l, struct err *e)
{
	struct list argv = { 0 }, env = { 0 };
	if (fields(&l->args, K_ARG, &argv, list_add) || make_env(l, &env))
		return err_set(e, ENOMEM, "out of memory");
	if (!argv.n || !*argv.v[0]) {
		l->exit_code = EXIT_NOT_FOUND;
		return err_set(e, EINVAL, "the command is empty");
	}
	int r = report_send(l->report, 0, 0, NULL, l->give);
	if (r)
		return err_sys(e, -r, "podfs-pod");
	close_fd(&l->give);
	if (strchr(argv.v[0], '/')) {
		execve(argv.v[0], argv.v, env.v);
		return tell_failure(l, argv.v[0], errno, e);
	}
	char **path = env_find(&env, DEFAULT_PATH);
	return tell_failure(l, argv.v[0], search(argv.v, env.v, *path + strlen("PATH=")), e);
}
