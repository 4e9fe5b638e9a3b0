/* One plugin of a chain, called once: see cni_step.h. */
#include "runtime/net/cni_step.h"

#include "runtime/base/util.h"
#include "runtime/net/cni_conf.h"

#include <errno.h>
#include <string.h>

/* portmap and firewall call iptables. */
#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void cni_netns_name(int netns, char out[64])
{
	*out = 0;
	if (netns >= 0)
		snprintf(out, 64, "/proc/%d/fd/%d", (int)getpid(), netns);
}

/* The arguments are those that kubelet's runtimes give; plugins that do not know them are told to pass over them. */
int cni_step_start(struct cni_run *r, const struct cni_step *s, struct err *e)
{
	const struct cni_record *rec = s->record;
	char path[PATH_MAX], netns[64], env[7][PATH_MAX];
	_cleanup_buf_ struct buf in = { 0 };
	cni_netns_name(s->netns, netns);
	int ret = cni_plugin_find(s->folders, cni_net_type(&rec->net, s->plugin), path, e);
	if (ret)
		return ret;
	if (cni_stdin(rec, s->plugin, s->prev, *netns ? netns : rec->sandbox, &in))
		return err_set(e, ENOMEM, "not enough memory");
	snprintf(env[0], sizeof env[0], "CNI_COMMAND=%s", s->command);
	snprintf(env[1], sizeof env[1], "CNI_CONTAINERID=%s", rec->uid);
	snprintf(env[2], sizeof env[2], "CNI_NETNS=%s", netns);
	snprintf(env[3], sizeof env[3], "CNI_IFNAME=eth0");
	snprintf(env[4], sizeof env[4], "CNI_PATH=%s", s->folders);
	snprintf(env[5], sizeof env[5], "PATH=" PATH);
	snprintf(env[6], sizeof env[6],
		 "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
		 rec->pod, rec->uid, rec->uid);
	char *list[] = { env[0], env[1], env[2], env[3], env[4], env[5], env[6], NULL };
	return cni_run_plugin(r, path, list, buf_str(&in), in.len, e);
}

int cni_step_blame(const struct cni_step *s, struct err *e)
{
	return err_prefix(e, "CNI plugin %s (%s of network %s)", cni_net_type(&s->record->net, s->plugin), s->command,
			  s->record->net.name);
}

/* SPEC.md, "Error": well-known codes. */
static int errno_of(unsigned code)
{
	static const struct { unsigned code; int error; } known[] = {
		{ 1, EPROTONOSUPPORT }, { 2, EINVAL }, { 3, ENOENT }, { 4, EINVAL }, { 6, EINVAL }, { 7, EINVAL }, { 11, EAGAIN },
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].code == code)
			return known[i].error;
	return EIO;
}

/* The last line of what it said on stderr. */
static int blame_stderr(const struct cni_run *r, struct err *e)
{
	const char *text = buf_str(&r->err_text);
	size_t end = r->err_text.len;
	while (end && (unsigned char)text[end - 1] <= ' ')
		end--;
	size_t begin = end;
	while (begin && text[begin - 1] != '\n')
		begin--;
	if (begin == end)
		return err_set(e, EIO, "it ended with %d and said nothing", r->code);
	return err_set(e, EIO, "it ended with %d: %.*s", r->code, (int)(end - begin), text + begin);
}

static int failed(const struct cni_run *r, struct err *e)
{
	unsigned code = 0;
	_cleanup_buf_ struct buf words = { 0 };
	if (r->too_much)
		return err_set(e, EFBIG, "it printed more than %d bytes and was killed", CNI_OUTPUT_MAX);
	if (r->sig)
		return err_set(e, EIO, "it was ended by signal %s", signal_name(r->sig));
	if (cni_failure_parse(buf_str(&r->out_text), r->out_text.len, &code, &words))
		return err_set(e, errno_of(code), "%s (code %u)", buf_str(&words), code);
	return blame_stderr(r, e);
}

int cni_step_verdict(const struct cni_run *r, const struct cni_step *s, struct json_t **result, struct err *e)
{
	int ret = 0;
	if (r->too_much || r->sig || r->code)
		ret = failed(r, e);
	else if (result && cni_result_parse(buf_str(&r->out_text), r->out_text.len, result, e))
		ret = err_prefix(e, "it ended well, but printed no result");
	return ret ? cni_step_blame(s, e) : 0;
}
