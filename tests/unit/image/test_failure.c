/* runtime/image/failure: what skopeo 1.9.3 said of registries and hosts that failed in each of these ways. */
#include "runtime/base/util.h"
#include "runtime/image/failure.h"
#include "tests/unit/unit.h"

#define FATAL(msg) "time=\"2026-11-22T13:29:05Z\" level=fatal msg=\"" msg "\"\n"

static const struct {
	const char *text, *reference;
	int code;
	const char *says; /* its beginning */
} said[] = {
	{ FATAL("initializing source docker://localhost:5711/big:v1: pinging container registry localhost:5711: Get \\\"https://localhost:5711/v2/\\\": http: server gave HTTP response to HTTPS client"),
	  "localhost:5711/big:v1", EPROTO, "TLS: the registry speaks plain HTTP" },
	{ FATAL("initializing source docker://localhost:5711/big:nope: reading manifest nope in localhost:5711/big: manifest unknown: manifest unknown"),
	  "localhost:5711/big:nope", ENOENT, "no such tag or image: reading manifest nope in localhost:5711/big: manifest unknown" },
	{ FATAL("initializing source docker://localhost:5711/big@sha256:0000000000000000000000000000000000000000000000000000000000000000: reading manifest sha256:0000000000000000000000000000000000000000000000000000000000000000 in localhost:5711/big: manifest unknown: manifest unknown"),
	  "localhost:5711/big@sha256:0000000000000000000000000000000000000000000000000000000000000000", ENOENT, "no such tag or image: reading manifest sha256:0000" },
	{ FATAL("initializing source docker://localhost:5712/m404:t: reading manifest t in localhost:5712/m404: name unknown"),
	  "localhost:5712/m404:t", ENOENT, "no such image: reading manifest t" },
	{ FATAL("initializing source docker://localhost:5712/html404:t: reading manifest t in localhost:5712/html404: StatusCode: 404, <html>nope</html>"),
	  "localhost:5712/html404:t", ENOENT, "no such image (404): " },
	{ FATAL("initializing source docker://localhost:5719/big:v1: reading manifest v1 in localhost:5719/big: unauthorized: authentication required"),
	  "localhost:5719/big:v1", EACCES, "the registry wants credentials (401): reading manifest v1" },
	{ FATAL("initializing source docker://localhost:5712/m401:t: reading manifest t in localhost:5712/m401: unauthorized"),
	  "localhost:5712/m401:t", EACCES, "the registry wants credentials (401): " },
	{ FATAL("initializing source docker://localhost:5712/m403:t: reading manifest t in localhost:5712/m403: denied"),
	  "localhost:5712/m403:t", EACCES, "the registry denies access (403): " },
	{ FATAL("reading blob sha256:fedd7cbdb8733f0c9c8cfa4ef97737cb6c778491ab6f0fd791f9a766fb5ccf96: Error fetching blob: invalid status code from registry 403 (Forbidden)"),
	  "localhost:5712/ok:t", EACCES, "the registry denies access (403): " },
	{ FATAL("initializing source docker://localhost:5712/m429:t: reading manifest t in localhost:5712/m429: toomanyrequests: You have reached your pull rate limit."),
	  "localhost:5712/m429:t", EREMOTEIO, "too many requests (429): " },
	{ FATAL("reading blob sha256:fedd7cbdb8733f0c9c8cfa4ef97737cb6c778491ab6f0fd791f9a766fb5ccf96: too many requests to registry"),
	  "localhost:5712/ok:t", EREMOTEIO, "too many requests (429): " },
	{ FATAL("initializing source docker://localhost:5712/m503:t: reading manifest t in localhost:5712/m503: received unexpected HTTP status: 503 Service Unavailable"),
	  "localhost:5712/m503:t", EREMOTEIO, "server error 503: " },
	{ FATAL("reading blob sha256:fedd7cbdb8733f0c9c8cfa4ef97737cb6c778491ab6f0fd791f9a766fb5ccf96: Error fetching blob: invalid status code from registry 500 (Internal Server Error)"),
	  "localhost:5712/ok:t", EREMOTEIO, "server error 500: " },
	{ FATAL("reading blob sha256:fedd7cbdb8733f0c9c8cfa4ef97737cb6c778491ab6f0fd791f9a766fb5ccf96: Error fetching blob: invalid status code from registry 404 (Not Found)"),
	  "localhost:5712/ok:t", ENOENT, "the registry lacks a part of the image (404): " },
	{ FATAL("initializing source docker://localhost:1/x:y: pinging container registry localhost:1: Get \\\"https://localhost:1/v2/\\\": dial tcp 127.0.0.1:1: connect: connection refused"),
	  "localhost:1/x:y", ECONNREFUSED, "connection refused: pinging container registry localhost:1" },
	{ FATAL("initializing source docker://registry.invalid/x:y: pinging container registry registry.invalid: Get \\\"https://registry.invalid/v2/\\\": dial tcp: lookup registry.invalid on 10.255.255.53:53: no such host"),
	  "registry.invalid/x:y", EHOSTUNREACH, "cannot resolve registry.invalid: " },
	{ FATAL("initializing source docker://busybox:latest: pinging container registry registry-1.docker.io: Get \\\"https://registry-1.docker.io/v2/\\\": dial tcp: lookup registry-1.docker.io on 10.255.255.53:53: no such host"),
	  "docker.io/library/busybox:latest", EHOSTUNREACH, "cannot resolve registry-1.docker.io: " },
	{ FATAL("initializing source docker://192.0.2.77:5000/x:y: pinging container registry 192.0.2.77:5000: Get \\\"https://192.0.2.77:5000/v2/\\\": dial tcp 192.0.2.77:5000: connect: no route to host"),
	  "192.0.2.77:5000/x:y", EHOSTUNREACH, "no route: " },
	{ FATAL("initializing source docker://192.0.2.77:5000/x:y: pinging container registry 192.0.2.77:5000: Get \\\"https://192.0.2.77:5000/v2/\\\": dial tcp 192.0.2.77:5000: connect: network is unreachable"),
	  "192.0.2.77:5000/x:y", EHOSTUNREACH, "no route: " },
	{ FATAL("initializing source docker://registry.example/x:y: pinging container registry registry.example: Get \\\"https://registry.example/v2/\\\": dial tcp: lookup registry.example on 10.255.255.53:53: dial udp 10.255.255.53:53: connect: network is unreachable"),
	  "registry.example/x:y", EHOSTUNREACH, "cannot resolve registry.example: " },
	{ FATAL("initializing source docker://203.0.113.5/x:y: pinging container registry 203.0.113.5: Get \\\"https://203.0.113.5/v2/\\\": dial tcp 203.0.113.5:443: connect: permission denied"),
	  "203.0.113.5/x:y", EHOSTUNREACH, "the registry cannot be reached: " },
	{ FATAL("initializing source docker://registry.example/ok:t: pinging container registry registry.example: Get \\\"https://registry.example/v2/\\\": proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused"),
	  "registry.example/ok:t", EHOSTUNREACH, "the proxy cannot be reached: " },
	{ FATAL("initializing source docker://localhost:5718/ok:t: pinging container registry localhost:5718: Get \\\"https://localhost:5718/v2/\\\": read tcp 127.0.0.1:50988->127.0.0.1:5718: read: connection reset by peer"),
	  "localhost:5718/ok:t", EREMOTEIO, "the connection broke: " },
	{ FATAL("initializing source docker://localhost:5712/mreset:t: Get \\\"http://localhost:5712/v2/mreset/manifests/t\\\": EOF"),
	  "localhost:5712/mreset:t", EREMOTEIO, "the connection broke: " },
	{ FATAL("writing blob: happened during read: unexpected EOF"),
	  "localhost:5712/ok:t", EREMOTEIO, "the connection broke: " },
	{ FATAL("initializing source docker://localhost:5713/ok:t: pinging container registry localhost:5713: Get \\\"https://localhost:5713/v2/\\\": x509: certificate signed by unknown authority"),
	  "localhost:5713/ok:t", EPROTO, "TLS: certificate signed by unknown authority: " },
	{ FATAL("initializing source docker://localhost:5714/ok:t: pinging container registry localhost:5714: Get \\\"https://localhost:5714/v2/\\\": x509: certificate is valid for other.example, not localhost"),
	  "localhost:5714/ok:t", EPROTO, "TLS: certificate of another name: " },
	{ FATAL("initializing source docker://localhost:5715/ok:t: pinging container registry localhost:5715: Get \\\"https://localhost:5715/v2/\\\": x509: certificate has expired or is not yet valid: current time 2026-11-22T13:30:55Z is after 2020-02-01T00:00:00Z"),
	  "localhost:5715/ok:t", EPROTO, "TLS: certificate has expired or is not yet valid: " },
	{ FATAL("initializing source docker://localhost:5716/ok:t: pinging container registry localhost:5716: Get \\\"https://localhost:5716/v2/\\\": tls: first record does not look like a TLS handshake"),
	  "localhost:5716/ok:t", EPROTO, "TLS: no handshake: " },
	{ FATAL("initializing source docker://localhost:5716/ok:t: pinging container registry localhost:5716: Get \\\"http://localhost:5716/v2/\\\": net/http: HTTP/1.x transport connection broken: malformed HTTP response \\\"SSH-2.0-x\\\""),
	  "localhost:5716/ok:t", EREMOTEIO, "it is no registry: " },
	{ FATAL("Source image rejected: Running image docker://localhost:5712/ok:t is rejected by policy."),
	  "localhost:5712/ok:t", EPERM, "refused by policy.json: " },
	{ FATAL("Source image rejected: A signature was required, but no signature exists"),
	  "localhost:5712/ok:t", EPERM, "refused by policy.json: " },
	{ FATAL("Error loading trust policy: open nofile.json: no such file or directory"),
	  "localhost:5712/ok:t", EPERM, "policy.json cannot be used: " },
	{ FATAL("initializing source docker://localhost:5712/m404:t: registry localhost:5712 is blocked in /srv/blk.conf or /home/u/.config/containers/registries.conf.d"),
	  "localhost:5712/m404:t", EPERM, "the registry is blocked by registries.conf: " },
	{ FATAL("initializing source docker://localhost:5712/m404:t: loading registries configuration: loading registries configuration \\\"/srv/bad.conf\\\": toml: line 1: expected '.' or '=', but got '[' instead"),
	  "localhost:5712/m404:t", EINVAL, "registries.conf cannot be used: " },
	{ FATAL("initializing source docker://localhost:5712/m404:t: (Mirrors also failed: [localhost:1/m404:t: pinging container registry localhost:1: Get \\\"https://localhost:1/v2/\\\": dial tcp 127.0.0.1:1: connect: connection refused]): localhost:5712/m404:t: reading manifest t in localhost:5712/m404: name unknown"),
	  "localhost:5712/m404:t", ENOENT, "no such image: reading manifest t in localhost:5712/m404: name unknown" },
	{ FATAL("initializing source docker://localhost:5712/ok:t: getting username and password: 1 error occurred:\\n\\t* reading JSON file \\\"/srv/badauth\\\": unmarshaling JSON at \\\"/srv/badauth\\\": invalid character 'x' looking for beginning of value\\n\\n"),
	  "localhost:5712/ok:t", EACCES, "the node's credentials cannot be read: " },
	{ FATAL("initializing source docker://localhost:5712/ok:t: getting username and password: 1 error occurred:\\n\\t* error getting credentials - err: docker-credential-nothere resolves to executable in current directory (./docker-credential-nothere), out: ``\\n\\n"),
	  "localhost:5712/ok:t", EACCES, "the node's credentials cannot be read: " },
	{ FATAL("writing blob: happened during read: Digest did not match, expected sha256:fedd7cbdb8733f0c9c8cfa4ef97737cb6c778491ab6f0fd791f9a766fb5ccf96, got sha256:494e4663666c47a0bb3b6ec3b32995abfdb0a236d35f400cda24f1e6edbdaa6a"),
	  "localhost:5712/ok:t", EBADMSG, "digest mismatch: " },
	{ FATAL("reading config blob sha256:525accfc1adbb830f677603489ec7b4d89c83876778137083cc2dd0cd81f8a29: Download config.json digest sha256:a7f5867db6c62940b929677c0d378093573887b1df60786c6fe12a78c7db028c does not match expected sha256:525accfc1adbb830f677603489ec7b4d89c83876778137083cc2dd0cd81f8a29"),
	  "localhost:5712/ok:t", EBADMSG, "digest mismatch: " },
	{ FATAL("determining manifest MIME type for docker://localhost:5712/badmandigest@sha256:1111111111111111111111111111111111111111111111111111111111111111: Manifest does not match provided manifest digest sha256:1111111111111111111111111111111111111111111111111111111111111111"),
	  "localhost:5712/ok:t", EBADMSG, "digest mismatch: " },
	{ FATAL("writing blob: write mnt/l/oci-put-blob549172564: no space left on device"),
	  "localhost:5712/ok:t", ENOSPC, "disk full: " },
	{ FATAL("initializing destination oci:mnt/l:x: mkdir mnt/l: read-only file system"),
	  "localhost:5712/ok:t", EROFS, "the disk is read-only: " },
	{ FATAL("choosing an image from manifest list docker://localhost:5712/noplat:t: no image found in image index for architecture amd64, variant \\\"\\\", OS linux"),
	  "localhost:5712/noplat:t", EINVAL, "the image is not there for this platform: " },
	{ FATAL("initializing image from source docker://localhost:5712/badjson:t: unexpected end of JSON input"),
	  "localhost:5712/badjson:t", EINVAL, "the manifest is no JSON: " },
	{ FATAL("initializing image from source docker://localhost:5712/text:t: invalid character 'h' looking for beginning of value"),
	  "localhost:5712/text:t", EINVAL, "the manifest is no JSON: " },
	{ FATAL("initializing source oci:/nowhere:: open /nowhere/index.json: no such file or directory"),
	  "oci:/nowhere", ENOENT, "no such image: " },
	{ FATAL("initializing source oci:/srv/lay:nope: no descriptor found for reference \\\"nope\\\""),
	  "oci:/srv/lay:nope", ENOENT, "no such image: " },
	{ FATAL("initializing source oci-archive:/srv/gar.tar:: creating temp directory: untarring file \\\"/var/tmp/oci2168623799\\\": unexpected EOF"),
	  "oci-archive:/srv/gar.tar", EINVAL, "it is no archive: " },
	{ FATAL("initializing source docker-archive:/srv/gar.tar: loading tar component manifest.json: unexpected EOF"),
	  "docker-archive:/srv/gar.tar", EINVAL, "it is no archive: " },
	{ FATAL("determining manifest MIME type for dir:/nowhere: open /nowhere/manifest.json: no such file or directory"),
	  "dir:/nowhere", ENOENT, "no such image: " },
	{ FATAL("initializing source containers-storage:[overlay@/var/lib/containers/storage+/run/containers/storage]docker.io/nowhere/x:y: reference \\\"[overlay@/var/lib/containers/storage+/run/containers/storage]docker.io/nowhere/x:y\\\" does not resolve to an image ID: identifier is not an image"),
	  "docker.io/nowhere/x:y", ENOENT, "no such image: " },
	{ FATAL("Invalid source name docker://Host/a:x: invalid reference format: repository name must be lowercase"),
	  "Host/a:x", EINVAL, "skopeo takes no such reference: " },
};

static void causes_come_first(void **state)
{
	EACH(said, i) {
		size_t len = strlen(said[i].text);
		_cleanup_free_ char *text = exact(said[i].text, len);
		struct err e = { 0 };
		int r = failure_of(text, len, said[i].reference, &e);
		if (r != -said[i].code || e.code != said[i].code || strncmp(e.text, said[i].says, strlen(said[i].says)))
			fail_msg("%s\n  %d %s", said[i].text, e.code, e.text);
		assert_null(strchr(e.text, '\\'));
		assert_null(strstr(e.text, "time="));
	}
}

static void fails(const char *text, int code, const char *says)
{
	struct err e = { 0 };
	assert_int_equal(failure_of(text, strlen(text), "x:y", &e), -code);
	assert_string_equal(e.text, says);
}

static void words_are_not_trusted(void **state)
{
	fails("", EREMOTEIO, "skopeo failed without a word");
	fails("\n\n", EREMOTEIO, "skopeo failed without a word");
	fails("what\n", EREMOTEIO, "skopeo failed: what");
	fails("panic: x\n\ngoroutine 1\n", EREMOTEIO, "skopeo failed: goroutine 1");
	fails(FATAL("\\x1b[2Ja\\tb \\\"c\\\""), EREMOTEIO, "skopeo failed: x1b[2Ja b \"c\"");
	fails("a\x1b[2J\xc2\x9b", EREMOTEIO, "skopeo failed: a?[2J??");
	/* A name is no cause. */
	fails(FATAL("reading manifest t in localhost/denied/unauthorized-x509: odd"), EREMOTEIO,
	      "skopeo failed: reading manifest t in localhost/denied/unauthorized-x509: odd");
	/* A warning before the last line is none either. */
	fails("time=\"x\" level=warning msg=\"no space left on device\"\n" FATAL("x:y: manifest unknown"), ENOENT,
	      "no such tag or image: manifest unknown");
}

static void length_is_bounded(void **state)
{
	_cleanup_free_ char *text = filled(200000, 'a');
	struct err e = { 0 };
	memcpy(text + 199000, "connection refused", 18);
	assert_int_equal(failure_of(text, 200000, "x:y", &e), -EREMOTEIO);
	assert_true(strlen(e.text) < 400);
	assert_int_equal(failure_of("a\0b: connection refused", 23, "x:y", &e), -ECONNREFUSED);
}

static void plain_http_is_the_registrys_own(void **state)
{
#define PLAIN "pinging container registry H: Get \\\"https://localhost:5000/v2/\\\": http: server gave HTTP response to HTTPS client"
	static const char own[] = FATAL("initializing source docker://localhost:5000/x:y: " PLAIN),
			  mirrored[] = FATAL("initializing source docker://localhost:5000/x:y: (Mirrors also failed: [m: EOF]): " PLAIN),
			  other[] = FATAL("x: Get \\\"https://example.org/v2/\\\": http: server gave HTTP response to HTTPS client");
	assert_true(failure_is_plain_http(own, strlen(own), "localhost:5000"));
	assert_false(failure_is_plain_http(own, strlen(own), "localhost"));
	assert_false(failure_is_plain_http(mirrored, strlen(mirrored), "localhost:5000"));
	assert_false(failure_is_plain_http(other, strlen(other), "localhost:5000"));
	assert_false(failure_is_plain_http("", 0, "localhost"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(causes_come_first),
		cmocka_unit_test(words_are_not_trusted),
		cmocka_unit_test(length_is_bounded),
		cmocka_unit_test(plain_http_is_the_registrys_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
