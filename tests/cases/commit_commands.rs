//! The commands whose result in a scratchpad, committed, must be what they do natively, with the
//! tree that they work on. Data only; `commit` runs them.

/// A program for what no command of the base system does, on the machines as [`TOOL_PATH`]; it
/// also lists the tree with everything that must be equal. Times only where they are old, that
/// is set on purpose: a test's own times differ from run to run.
pub const TOOL: &str = r#"#!/usr/bin/python3
import ctypes, fcntl, hashlib, mmap, os, socket, stat, struct, sys

def flags(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        # FS_IOC_GETFLAGS; those that no program sets by name are left out.
        return struct.unpack("l", fcntl.ioctl(fd, 0x80086601, struct.pack("l", 0)))[0] & 0xff & ~0x4
    except OSError:
        return 0
    finally:
        os.close(fd)

def holes(path, size):
    fd, at, total = os.open(path, os.O_RDONLY), 0, 0
    while at < size:
        hole = os.lseek(fd, at, os.SEEK_HOLE)
        try:
            at = os.lseek(fd, hole, os.SEEK_DATA)
        except OSError:
            at = size
        total += at - hole
    os.close(fd)
    return total

def one(name, shown, first):
    s = os.lstat(name)
    line = [repr(shown), oct(s.st_mode), s.st_uid, s.st_gid, s.st_rdev]
    if s.st_mtime < 1.5e9:
        line.append("t%d" % s.st_mtime_ns)
    if not stat.S_ISDIR(s.st_mode):
        line += ["links", s.st_nlink, repr(first.setdefault(s.st_ino, shown))]
    for key in sorted(os.listxattr(name, follow_symlinks=False)):
        if not key.startswith("trusted.SGI_ACL"):
            line += [key, os.getxattr(name, key, follow_symlinks=False)]
    if stat.S_ISLNK(s.st_mode):
        line.append(os.readlink(name))
    if stat.S_ISREG(s.st_mode):
        digest = hashlib.sha256()
        with open(name, "rb") as f:
            while chunk := f.read(1 << 20):
                digest.update(chunk)
        line += [s.st_size, digest.hexdigest()[:16], flags(name)]
        if s.st_size >= 1 << 20:
            line.append("holes %d" % (holes(name, s.st_size) >> 16))
    if stat.S_ISDIR(s.st_mode):
        line.append(flags(name))
    print(*line)
    return stat.S_ISDIR(s.st_mode)

def listing():
    first = {}
    def below(name, shown):
        if one(name, shown, first):
            back = os.open(".", os.O_PATH)
            os.chdir(name)
            for child in sorted(os.listdir(b".")):
                below(child, shown + b"/" + child)
            os.fchdir(back)
            os.close(back)
    below(b"/srv/t", b"")
    one(b"/srv/outside", b"/srv/outside", first)
    one(b"/", b"/", first)
    for name in sorted(os.listdir(b"/")):
        if name.startswith(b"top"):
            below(b"/" + name, b"/" + name)

def exchange(a, b):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2):
        raise OSError(ctypes.get_errno(), "exchange")

def tmpfile(name):
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"from nowhere\n")
    os.link("/proc/self/fd/%d" % fd, name, src_dir_fd=0, follow_symlinks=True)

def mapped(name):
    with open(name, "r+b") as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[0:3] = b"MAP"
            m.flush()

def bind(name):
    socket.socket(socket.AF_UNIX).bind(name)

def deep(levels):
    for _ in range(int(levels)):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    open("bottom", "w").write("deep\n")

def in_place(name, text):
    """Writes without any change that only content shows: the same length and time."""
    s = os.stat(name)
    with open(name, "r+") as f:
        f.write(text)
    os.utime(name, ns=(s.st_atime_ns, s.st_mtime_ns))

globals()[sys.argv[1]](*sys.argv[2:])
"#;

/// Where [`TOOL`] is.
pub const TOOL_PATH: &str = "/root/t";

/// Makes the tree anew.
pub const PREPARE: &str = "chattr -R -ia /srv/t /srv/outside /top* 2>/dev/null; \
    rm -rf /srv/t /srv/outside /top*; chmod 755 / ; touch /; \
    mkdir -p /srv/t/d/e /srv/t/full/x/y /srv/t/sticky /srv/t/shared && cd /srv/t && echo one >one && echo two >two && \
    ln one alias && ln -s one sym && mkfifo fifo && echo deep >full/x/y/f && echo g >full/g && \
    truncate -s 4M big && printf tail >>big && truncate -s 8M gaps && \
    printf X | dd of=gaps bs=1 seek=5000000 conv=notrunc 2>/dev/null && chmod 640 two && chown 3:4 two && \
    setfattr -n user.k -v v two && echo in >d/in && echo e >d/e/e && echo imm >imm && \
    chmod 1777 sticky && echo s >sticky/s && chmod 2775 shared && chgrp 9 shared && \
    seq 400000 | head -c 2200000 >data && echo out >out && ln out /srv/outside && \
    ln d/in full/in && setfacl -m u:7:rwx d && setfacl -d -m u:8:rx d && \
    setfattr -h -n trusted.s -v v sym && mkdir locked && echo l >locked/l && chmod 000 locked && \
    echo a1 >a1 && ln a1 a2 && ln a1 a3 && touch -d '2001-02-03 04:05:06' one two sym d/in a1 d full";

/// The commands, run by `sh` in `/srv/t`.
pub const COMMANDS: &[&str] = &[
    // Files.
    "true",
    "echo new >new",
    "echo more >>two",
    "sed -i s/two/TWO/ two",
    "touch one",
    "echo two >two",
    "chmod 4755 two",
    "chown 7:8 one",
    "setfattr -n user.k -v other two",
    "setfattr -x user.k two",
    "chmod 600 big",
    "printf X | dd of=big bs=1 seek=3000000 conv=notrunc 2>/dev/null",
    "printf Y | dd of=gaps bs=1 seek=7000000 conv=notrunc 2>/dev/null",
    "echo more >>data",
    "truncate -s 1000 data",
    "truncate -s 1G sparse",
    "fallocate -p -o 1048576 -l 1048576 data",
    "fallocate -l 2M data2",
    "cp --sparse=always big big2",
    "/root/t mapped data",
    "/root/t tmpfile born",
    "/root/t in_place two TWO",
    "install -m 751 -o 9 -g 9 two bin",
    "rm two && echo two >two",
    "mv two x && touch x && mv x two",
    ": >two",
    "rm imm && echo new >imm && chattr +i imm",
    "chattr +i imm && chattr +d one",
    "chattr +a imm two",
    "setcap cap_net_raw+ep two",
    "setfacl -m u:1:r,g:2:rw two && setfacl -x u:7 d",
    "echo a >one; chmod 400 one; chown 11:12 one",
    "dd if=/dev/zero of=two bs=1k count=3 seek=5 conv=notrunc 2>/dev/null",
    "head -c 3 data >two",
    "cat one two >>data && truncate -s -5 data",
    "cp -a two copy && cp --preserve=all one copy2",
    "cp --reflink=auto data data3 && echo x >>data3",
    "mv data data4 && truncate -s 7 data4",
    "touch -a -d '1999-09-09' one && touch -m -d '1998-08-08' two",
    "chmod 000 two && chmod u+s one",
    "sed -i.bak s/one/1/ one",
    "setfattr -n user.empty two && setfattr -n user.k two",
    "chattr +A one && chattr +S d",
    "chattr +i d && echo more >>d/in",
    "chattr +i two && chattr -i two && rm two",
    "install -D -m 600 two x/y/z/two && install -d -o 3 -m 711 dirs",
    "echo x >.hidden && mv .hidden ..hidden && echo >'-n'",
    "echo x >\"$(printf '\\001\\002 \\t')\" && mkdir '*' && echo >'*/?'",
    // Names.
    "rm one",
    "mv two renamed",
    "mv two renamed && echo more >>renamed",
    "mv one one.old && echo fresh >one",
    "mv two one",
    "mv -f data two",
    "/root/t exchange one two",
    "/root/t exchange two data && echo x >>two",
    "mkdir '/srv/t/\n' && echo > '/srv/t/\n/ '",
    "printf x >'back\\slash' && printf y >\"$(printf 'bad\\377\\n\\001')\" && mv two ' lead  '",
    "echo x >$(printf '%0255d' 1)",
    // Several names.
    "echo more >>alias",
    "ln two hard && echo x >>hard",
    "ln one three && chmod 600 three",
    "ln two hard && chmod 600 hard && rm two",
    "chmod 600 one && rm one",
    "echo x >>one && rm one",
    "rm alias && echo x >>one",
    "echo x >>out && mv out in",
    "mv out x && touch x",
    "mv out x && echo more >>x",
    "rm out && ln one out",
    "chmod 600 out && mv out x && ln x y",
    "mv a1 b1 && echo x >>a2 && rm a3",
    "rm a1 a2 && chmod 700 a3",
    "mv a1 z && ln z zz && chmod 711 zz",
    "cp -p a1 t && mv t a1",
    "ln a1 d/a4 && mv d dd && echo x >>dd/a4",
    "rm full/in && echo x >>d/in",
    "mv full/in d/in2 && rm d/in",
    "rm -rf d && echo x >>full/in",
    "ln sym sym2 && ln fifo fifo2",
    "echo more >>alias && chmod 600 one",
    "echo x >>a3 && mv a1 a9",
    "ln -f two alias && echo x >>two",
    "ln a1 full/a4 && ln a2 d/a5 && rm a1",
    "cp -al d d2 && echo x >>d2/in",
    "mv alias d/ && mv one full/ && echo x >>full/one",
    "rm alias full/in && touch one d/in",
    "ln sym d/sym && mv d/sym sym3 && rm sym",
    "mv full/in in && rm -r d && echo x >>in",
    "tar cf - a1 a2 | (mkdir un && cd un && tar xf -) && rm a1",
    "rsync -aH full/ synced/ 2>/dev/null || cp -a full synced",
    // Directories.
    "rm -rf full",
    "rm -rf full && mkdir full && echo z >full/z",
    "mv d moved",
    "mv d/e d/in full/x/",
    "mv d moved && echo x >moved/new && rm moved/in && mv moved/e e",
    "mv d tmp && mv full d && mv tmp full",
    "/root/t exchange d full",
    "/root/t exchange d full && /root/t exchange d/x full/e",
    "/root/t exchange d one",
    "mkdir n && /root/t exchange n full && echo x >n/new && rm -r n/x",
    "chmod 2770 d",
    "touch -d '1999-09-09' two d",
    "touch -d '1999-09-09' d full/x && touch d/new",
    "setfattr -n user.d -v v d && setfacl -b d",
    "echo x >shared/x && mkdir shared/y && echo z >shared/y/z",
    "rm sticky/s && chmod 0755 sticky && mkdir -m 3777 sticky/n",
    "chmod 755 locked && chmod 600 locked/l",
    "rm -rf locked && mkdir -m 000 locked",
    "echo x >d/acl && mkdir d/sub && echo y >d/sub/f",
    "chattr +i d full/x/y && chattr +a full",
    "mkdir -p a/b/c && ln two a/b/link && mv full a/b/c/",
    "mv full/x/y y && mv full/x y/ && mv y full/",
    "mv d full/ && mv full/x d && mv full d/",
    "mv full f && mkdir full && mv f/x full/x && rm -r f",
    "mkdir empty && mv -T empty locked2 && mv d/e . && rm -r e && mv full e",
    "mkdir n && mv sticky/s n && rmdir sticky && mv n sticky",
    "mkdir n && mv -T sticky n && mkdir sticky && mv n/s sticky",
    "/root/t deep 25",
    "tar cf - full | (mkdir un && cd un && tar xf -)",
    "cp -a full copy && cp -al full hardcopy",
    "rm -rf full && cp -a d full",
    "mv full old && cp -a old full && rm -rf old",
    "rm -rf d && mv full d",
    "rm -rf d && mv full d && rm -rf d/in && echo x >d/e",
    "rm -rf full && mkdir full && mv d/in full/ && mv d full/x",
    "mv d/e full/x/y && rm -r d && mv full d",
    "mkdir new && cp -a full/. new/ && rm -rf full && mv new full",
    "cp -a d d.new && echo x >d.new/in && mv d d.old && mv d.new d && rm -r d.old",
    "find . -type d -exec chmod g+w {} +",
    "find full -depth -delete",
    "mkdir -p d/e/f/g/h && mv d/e/f d/f && rmdir d/f/g/h",
    "mv full/x . && rmdir x/y 2>/dev/null || mv x/y/f . && rm -r x",
    "chmod 700 d && chown 5:6 d && mv d owned && mkdir d",
    "mv sticky shared/ && chmod 700 shared/sticky && echo n >shared/sticky/n",
    "/root/t exchange d/e full/x && rm full/x/e && echo x >d/e/new",
    "setfacl -R -m u:9:rx full && setfacl -m m::r full/g",
    "touch -d '1999-09-09' full/x/y && mv full/x/y d/ && touch -d '1998-08-08' d/y",
    // Changes of kind.
    "rm sym && ln -s elsewhere sym",
    "ln -sfn full sym",
    "touch -h -d '1999-09-09' sym && mv sym d/",
    "rm one && mkdir one && echo x >one/x",
    "rm -rf d && echo file >d",
    "rm -rf d && ln -s full d",
    "rm two && mv d two && mkdir d && echo >d/in",
    "rm sym && mkdir sym && mv full sym/ && ln -s sym/full full",
    "rm fifo && echo x >fifo",
    "mknod null c 1 3 && mknod disk b 7 0 && mkfifo pipe2 && chmod 600 pipe2",
    "rm two && mknod two c 1 3",
    "/root/t bind sock",
    "chmod 600 fifo && chown 5 sym -h",
    "rm -rf full && ln -s d full && echo x >full/through",
    "rm two && ln one two && rm one && mkdir one",
    "rm fifo && mkfifo fifo && chmod 622 fifo",
    "mv fifo full/ && mv sym full/ && mv full away",
    "rm imm && mknod imm p && mv imm d/imm",
    "mv one d/e/ && rm -r d/e && mkdir -p d/e && echo e >d/e/one",
    // Top.
    "echo x >/top && mkdir /topdir && mv full /topdir/ && ln two /topdir/two",
    "chmod 751 / && touch -d '1999-09-09' /",
    "mv /srv/t/d /topd && mv two one /topd",
];
