//! A throwaway host: a small root of its own on a loop-mounted ext4 image (or on a tmpfs), in
//! namespaces of its own, with the machine's `/usr` read-only. What a test does there cannot reach
//! the machine. Needs root, unshare(1) of util-linux and mkfs.ext4(8).

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Runs `$2` as a bash script in a host with its root on `$1`. `dry-run` is in its `PATH`.
const BUILD: &str = r#"
set -eu
mount --make-rprivate /
mkdir "$1/root"
if [ -e "$1/image" ]; then mount -o loop "$1/image" "$1/root"
else mount -t tmpfs -o mode=0755 tmpfs "$1/root"; fi
cd "$1/root"
mkdir -p usr etc proc sys dev run tmp var/lib root home srv old mnt opt/bin
for link in bin sbin lib lib64; do
    if [ -L "/$link" ]; then ln -s "usr/$link" "$link"; else mkdir "$link"; mount --bind "/$link" "$link"; fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs -o mode=0755 tmpfs dev
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<< "$node"; mknod -m 666 "dev/$name" c "$major" "$minor"
done
# A disk that is not there, for attempts on it.
mknod dev/disk b 254 4000
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
cp "$3" opt/bin/dry-run
pivot_root . old
umount -l /old
rmdir /old
cd /
umask 022
# Whoever runs the tests in the background, or under nohup(1), has these ignored.
exec env -i --default-signal=INT,QUIT,HUP PATH=/usr/bin:/usr/sbin:/bin:/sbin:/opt/bin HOME=/root LC_ALL=C bash -eu -c "$2"
"#;

/// What the root lies on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Ext4,
    Memory,
}

/// One throwaway host; its directory is removed when it is dropped.
pub struct Host {
    directory: tempfile::TempDir,
}

/// The example program, which cargo builds before it runs tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples/dry-run");
    assert!(
        program.exists(),
        "{} is not built: cargo build -p isconf-sandbox --example dry-run",
        program.display()
    );
    program
}

impl Host {
    pub fn new(disk: Disk) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if disk == Disk::Ext4 {
            let image = directory.path().join("image");
            std::fs::File::create(&image)
                .unwrap()
                .set_len(192 << 20)
                .unwrap();
            let made = Command::new("mkfs.ext4")
                .args(["-q", "-E", "nodiscard"])
                .arg(&image)
                .status()
                .expect("mkfs.ext4 (Debian: e2fsprogs) is needed");
            assert!(made.success());
        }
        Self { directory }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["-m", "-p", "-f", "-u", "-i", "--kill-child", "--mount-proc"])
            .args(["bash", "-c", BUILD, "host"])
            .arg(self.directory.path())
            .arg(OsStr::new(script))
            .arg(program())
            .process_group(0);
        command
    }

    /// Runs the script and gives what it said.
    pub fn run(&self, script: &str) -> Output {
        self.command(script).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the script, which must end with success; gives its standard output.
    pub fn check(&self, script: &str) -> String {
        let output = self.run(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

/// Whether these tests can run; says so when they cannot. In a pipeline (`CI` is set) that is a
/// failure.
pub fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    assert!(
        is_root || std::env::var_os("CI").is_none(),
        "these tests need root"
    );
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// `script` on a fresh ext4 host; it must end with success.
pub fn on_disk(script: &str) -> String {
    Host::new(Disk::Ext4).check(script)
}
