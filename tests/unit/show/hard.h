/* Values that a careless writer of YAML would spoil, for the manifest's tests. */
#ifndef PODFS_TEST_HARD_H
#define PODFS_TEST_HARD_H

static const char *const hard_values[] = {
	"", " ", "yes", "no", "null", "~", "1e3", "0x10", "0o7", "1_000", "12:30:45", "2001-01-01", "- a", "a: b", "a #b",
	"#", "*a", "&a", "!a", "%a", "@a", "`a", "{a", "[a", "|", ">", "'", "\"", "\\", "\\n", "/", "a\tb", "\x01\x1b[m",
	"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x80\xa8", "\xef\xbb\xbf", "$(X)", "${X}", " a ", "<none>", "---",
};

#endif
