"""What a folder holds, a line a file, so that two of them can be compared by diff(1).

    tree.py [-b] DIR     -b: also whether a file has holes

A line: path, type and mode, owner, size, mtime in ns, link target, device, attributes, the first path of the same inode,
SHA-256. Owns nothing; kill_points.py uses it as a module. The blocks of a file are compared as "has holes": how
many depends on the file system.
"""
import hashlib
import os
import stat
import sys

KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}


def shown(name):
    return name.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()


def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return ",".join(f"{n}={os.getxattr(path, n, follow_symlinks=False).hex()}" for n in names)


def content(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def line(root, name, seen, blocks, begun):
    path = os.path.join(root, name)
    s = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(s.st_mode), "?")
    first = seen.setdefault((s.st_dev, s.st_ino), name) if kind != "d" else name
    return "\t".join((
        shown(name) or ".",
        f"{kind}{stat.S_IMODE(s.st_mode):04o}",
        f"{s.st_uid}:{s.st_gid}",
        str(s.st_size) if kind in "fl" else "-",
        str(s.st_mtime_ns) if s.st_mtime_ns < begun else "new",
        shown(os.readlink(path)) if kind == "l" else "-",
        f"{os.major(s.st_rdev)}:{os.minor(s.st_rdev)}" if kind in "cb" else "-",
        attributes(path) or "-",
        "-" if first == name else shown(first),
        content(path) if kind == "f" and first == name else "-",
        ("holes" if s.st_blocks * 512 < s.st_size else "-") if blocks and kind == "f" else "-",
    ))


def names(root, folder=b""):
    yield folder
    for entry in sorted(os.scandir(os.path.join(root, folder)), key=lambda e: e.name):
        name = os.path.join(folder, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from names(root, name)
        else:
            yield name


def tree(root, blocks=False, begun=sys.maxsize):
    """begun: mtimes from then on are only said to be new."""
    root = os.fsencode(root)
    seen = {}
    return [line(root, name, seen, blocks, begun) for name in names(root)]


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "-b"]
    if len(args) != 1:
        sys.exit(__doc__)
    print("\n".join(tree(args[0], "-b" in sys.argv)))
