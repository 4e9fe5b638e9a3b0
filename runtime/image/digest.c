/* SHA-256 through libcrypto's EVP: see digest.h. */
#include "runtime/image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int digest_begin(struct digest *d, struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return err_set(e, ENOMEM, "cannot compute SHA-256");
	}
	d->ctx = ctx;
	return 0;
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	EVP_DigestUpdate(d->ctx, data, len);
}

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = 0;
}

int digest_end(struct digest *d, char hex[DIGEST_HEX + 1], struct err *e)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	int ok = EVP_DigestFinal_ex(d->ctx, md, &n);
	digest_free(d);
	if (ok != 1 || n * 2 != DIGEST_HEX)
		return err_set(e, EIO, "cannot compute SHA-256");
	to_hex(md, n, hex);
	return 0;
}

void digest_free(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

int digest_of(const void *data, size_t len, char hex[DIGEST_HEX + 1], struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	int r = digest_begin(&d, e);
	if (r)
		return r;
	digest_add(&d, data, len);
	return digest_end(&d, hex, e);
}

int digest_is_hex(const char *text, size_t len)
{
	return len == DIGEST_HEX && strspn(text, "0123456789abcdef") >= len;
}

int digest_parse(const char *text, char hex[DIGEST_HEX + 1], struct err *e)
{
	const char *colon = strchr(text, ':');
	if (!colon)
		return err_set(e, EINVAL, "`%.100s` is not a digest", text);
	if (strncmp(text, "sha256:", 7))
		return err_set(e, EINVAL, "digests made with %.*s are not supported, only sha256",
			       colon - text < 32 ? (int)(colon - text) : 32, text);
	if (!digest_is_hex(colon + 1, strlen(colon + 1)))
		return err_set(e, EINVAL, "`%.100s` is not a sha256 digest", text);
	memcpy(hex, colon + 1, DIGEST_HEX + 1);
	return 0;
}
