//! Writes the two shell scripts that make a throwaway host. Pure: decides every command and runs
//! none, so that a reader sees the whole set-up at once. Upholds the rule that a host never sees a
//! writable file of the real machine: what is bound from it is bound read-only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::spec::{HostSpec, RootKind, Volume};

/// Where the program under test is seen in a host.
pub(super) const PROGRAM: &str = "/opt/isconf/bin/isconf";

/// The search path of the scripts and of every command in a host.
pub(super) const PATH: &str =
    "/opt/isconf/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The top-level directories that belong to `/usr` in spirit, on a merged system in fact.
const SYSTEM_DIRS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// How the real machine shows one of its system directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SystemDir {
    /// A link into `/usr` (merged /usr), with its target.
    Link(PathBuf),
    /// A directory of its own.
    Own,
}

/// Looks up the system directories of the real machine.
pub(super) fn system_dirs() -> Vec<(&'static str, SystemDir)> {
    let look = |name: &'static str| {
        let path = Path::new("/").join(name);
        match std::fs::read_link(&path) {
            Ok(target) => Some((name, SystemDir::Link(target))),
            Err(_) if path.is_dir() => Some((name, SystemDir::Own)),
            // Absent here, so absent there.
            Err(_) => None,
        }
    };
    SYSTEM_DIRS.into_iter().filter_map(look).collect()
}

/// A shell script that stops at the first failing command.
#[derive(Debug)]
pub(super) struct Script(Vec<u8>);

impl Script {
    fn new() -> Self {
        // Standard output belongs to the word `ready`; some programs chatter on it.
        let head = format!("exec 3>&1 >&2\nset -e\numask 022\nexport PATH={PATH} LC_ALL=C\n");
        Self(head.into_bytes())
    }

    /// Adds a command of literal words.
    fn run<W: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = W>) -> &mut Self {
        for word in words {
            quote(word.as_ref(), &mut self.0);
            self.0.push(b' ');
        }
        self.0.push(b'\n');
        self
    }

    /// Adds shell text as it is.
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
        self
    }

    /// Returns the script as one argument of `sh -c`.
    pub(super) fn as_arg(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

/// Quotes one word for the shell; single quotes hide everything but themselves.
fn quote(word: &OsStr, out: &mut Vec<u8>) {
    out.push(b'\'');
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            other => out.push(other),
        }
    }
    out.push(b'\'');
}

/// Holds the namespaces until standard input ends, which it does when the maker dies. Ignored
/// SIGCHLD lets the kernel reap what is orphaned to PID 1 (sigaction(2), SA_NOCLDWAIT); env(1) sets
/// that, because a dash only pretends to when its trap says so.
const HOLD: &str = "exec 3>&-\nexec env --ignore-signal=CHLD cat >/dev/null 2>&1";

/// Decides the script that makes and mounts the file systems below `work`, and holds them.
pub(super) fn volumes(spec: &HostSpec, work: &Path) -> Script {
    let mut script = Script::new();
    let root = work.join("root");
    if spec.overlay {
        let base = work.join("base");
        disk(&mut script, spec, spec.root, &work.join("root.img"), &base);
        let [lower, upper, scratch] = ["lower", "upper", "work"].map(|name| base.join(name));
        script.run([
            "mkdir".as_ref(),
            lower.as_os_str(),
            upper.as_ref(),
            scratch.as_ref(),
        ]);
        fill(&mut script, work, &lower);
        let mut layers = std::ffi::OsString::from("lowerdir=");
        for (text, path) in [
            ("", &lower),
            (",upperdir=", &upper),
            (",workdir=", &scratch),
        ] {
            layers.push(text);
            layers.push(path);
        }
        let mount = ["mount", "-t", "overlay", "overlay", "-o"].map(OsStr::new);
        script.run(
            mount
                .into_iter()
                .chain([layers.as_os_str(), root.as_os_str()]),
        );
    } else {
        disk(&mut script, spec, spec.root, &work.join("root.img"), &root);
        fill(&mut script, work, &root);
    }
    for (number, volume) in spec.volumes.iter().enumerate() {
        let image = work.join(format!("volume-{number}.img"));
        mount_volume(&mut script, spec, volume, (&root, &image));
    }
    script.text("echo ready $$ >&3").text(HOLD);
    script
}

/// Adds the commands that copy the skeleton of the root into place.
fn fill(script: &mut Script, work: &Path, root: &Path) {
    let skeleton = work.join("skeleton/.");
    script.run([
        "cp".as_ref(),
        "-a".as_ref(),
        skeleton.as_os_str(),
        root.as_os_str(),
    ]);
    // Debian reaches awk, cc and others through this directory of links.
    script.text("if [ -d /etc/alternatives ]; then").run([
        "cp".as_ref(),
        "-a".as_ref(),
        "/etc/alternatives".as_ref(),
        root.join("etc").as_os_str(),
    ]);
    script.text("fi");
}

/// Adds the commands that make one file system and mount it.
fn disk(script: &mut Script, spec: &HostSpec, kind: RootKind, image: &Path, at: &Path) {
    let size = spec.size.to_string();
    let make: &[&str] = match kind {
        RootKind::Tmpfs => {
            let options = format!("size={size},mode=755");
            let mount = ["mount", "-t", "tmpfs", "-o", &options, "tmpfs"].map(OsStr::new);
            script.run(mount.into_iter().chain([at.as_os_str()]));
            return;
        }
        // No discard: the image is all holes already.
        RootKind::Ext4 => &[
            "mkfs.ext4",
            "-q",
            "-F",
            "-m0",
            "-E",
            "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
        ],
        RootKind::Xfs => &["mkfs.xfs", "-q", "-f", "-K"],
        RootKind::Btrfs => &["mkfs.btrfs", "-q", "-f", "-K"],
    };
    script.run(
        ["truncate", "-s", &size]
            .map(OsStr::new)
            .into_iter()
            .chain([image.as_os_str()]),
    );
    script.run(make.iter().map(OsStr::new).chain([image.as_os_str()]));
    let mount = ["mount", "-o", "loop"].map(OsStr::new);
    script.run(mount.into_iter().chain([image.as_os_str(), at.as_os_str()]));
}

/// Adds the commands that make one further mount; `root` is the host's root as seen from here.
fn mount_volume(
    script: &mut Script,
    spec: &HostSpec,
    volume: &Volume,
    (root, image): (&Path, &Path),
) {
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let bind = |script: &mut Script, options: &str, of: &Path, at: &Path| {
        let mount = ["mount", "--bind", "-o", options].map(OsStr::new);
        script.run(mount.into_iter().chain([of.as_os_str(), at.as_os_str()]));
    };
    let mkdir = |script: &mut Script, path: &Path| {
        script.run(["mkdir".as_ref(), "-p".as_ref(), path.as_os_str()]);
    };
    match volume {
        Volume::Disk { kind, at } => {
            mkdir(script, &inside(at));
            disk(script, spec, *kind, image, &inside(at));
        }
        Volume::Alias { of, at } => {
            mkdir(script, &inside(of));
            mkdir(script, &inside(at));
            bind(script, "rw", &inside(of), &inside(at));
        }
        Volume::ReadOnly { at } => {
            mkdir(script, &inside(at));
            bind(script, "ro", &inside(at), &inside(at));
        }
        Volume::FileAlias { of, at } => {
            for path in [inside(of), inside(at)] {
                mkdir(script, path.parent().unwrap_or(root));
                script.run(["touch".as_ref(), path.as_os_str()]);
            }
            bind(script, "rw", &inside(of), &inside(at));
        }
    }
}

/// Decides the script that boots the host: runs as PID 1 of fresh namespaces, mounts what belongs
/// to one boot, and leaves the real root for good.
pub(super) fn boot(spec: &HostSpec, work: &Path, system: &[(&str, SystemDir)]) -> Script {
    let mut script = Script::new();
    // The old /proc still counts processes as the maker does.
    script.text("read -r pid rest </proc/self/stat");
    script.run(["cd".as_ref(), work.join("root").as_os_str()]);
    script.run(["hostname", &spec.name]);
    script.text(DEVICES);
    bind_read_only(&mut script, Path::new("/usr"), "usr");
    for (name, dir) in system {
        if *dir == SystemDir::Own {
            bind_read_only(&mut script, &Path::new("/").join(name), name);
        }
    }
    if let Some(program) = &spec.program {
        bind_read_only(&mut script, program, PROGRAM.trim_start_matches('/'));
    }
    script
        .text(LEAVE)
        .text("echo ready \"$pid\" >&3")
        .text(HOLD);
    script
}

/// Adds the command that shows a file or directory of the real machine, read-only.
fn bind_read_only(script: &mut Script, real: &Path, at: &str) {
    let mount = ["mount", "--bind", "-o", "ro,nodev"].map(OsStr::new);
    script.run(mount.into_iter().chain([real.as_os_str(), at.as_ref()]));
}

/// Mounts the file systems that the kernel makes up. A small `/dev`: no disks, no loop devices.
const DEVICES: &str = "\
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir run/lock; chmod 1777 run/lock
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o mode=755,nosuid tmpfs dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr";

/// Makes the host's root the only one; the old root goes by way of `/run`, which is fresh, so that
/// the root itself keeps its times. Loopback is raised where `ip` is installed.
const LEAVE: &str = "\
mkdir run/real
pivot_root . run/real
cd /
umount -l /run/real
rmdir /run/real
if command -v ip >/dev/null; then ip link set lo up; fi";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(script: &Script) -> String {
        String::from_utf8_lossy(&script.0).into_owned()
    }

    #[test]
    fn words_with_quotes_and_newlines_stay_one_word() {
        let mut out = Vec::new();
        quote(OsStr::new("it's a\n'$x'"), &mut out);
        let arg = Path::new("/bin/sh");
        let text = [b"printf %s ".as_slice(), &out].concat();
        let output = std::process::Command::new(arg)
            .arg("-c")
            .arg(OsStr::from_bytes(&text))
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"it's a\n'$x'");
    }

    #[test]
    fn everything_bound_from_the_real_machine_is_read_only() {
        let spec = HostSpec::new("a").root(RootKind::Ext4).program("/x/isconf");
        let system = [
            ("bin", SystemDir::Own),
            ("lib", SystemDir::Link("usr/lib".into())),
        ];
        let script = shown(&boot(&spec, Path::new("/w"), &system));
        let binds: Vec<&str> = script
            .lines()
            .filter(|line| line.contains("--bind"))
            .collect();
        assert_eq!(
            binds,
            [
                "'mount' '--bind' '-o' 'ro,nodev' '/usr' 'usr' ",
                "'mount' '--bind' '-o' 'ro,nodev' '/bin' 'bin' ",
                "'mount' '--bind' '-o' 'ro,nodev' '/x/isconf' 'opt/isconf/bin/isconf' ",
            ]
        );
    }

    #[test]
    fn volumes_are_mounted_below_the_host_root_in_the_order_given() {
        let spec = HostSpec::new("a")
            .root(RootKind::Tmpfs)
            .disk(RootKind::Xfs, "/srv")
            .volume(Volume::Alias {
                of: "/srv/a".into(),
                at: "/mnt/b".into(),
            });
        let script = shown(&volumes(&spec, Path::new("/w")));
        let mounts: Vec<&str> = script
            .lines()
            .filter(|line| line.contains("'mount'"))
            .collect();
        assert_eq!(
            mounts,
            [
                "'mount' '-t' 'tmpfs' '-o' 'size=4294967296,mode=755' 'tmpfs' '/w/root' ",
                "'mount' '-o' 'loop' '/w/volume-0.img' '/w/root/srv' ",
                "'mount' '--bind' '-o' 'rw' '/w/root/srv/a' '/w/root/mnt/b' ",
            ]
        );
    }
}
