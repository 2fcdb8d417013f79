//! A throwaway machine with isconf on it, in the words of the tests: run, say what must come out.
//! Not for making the machine (that is `isconf::tour::host`). Upholds: no test touches the real
//! root.

use std::ffi::OsStr;

use isconf::tour::{Host, HostSpec, Output};

/// The domain that every test machine belongs to.
pub const DOMAIN: &str = "example.com";

/// The key that test machines share, so that bundles made by one are taken by the other.
const KEY: &str = "somekey-of-the-tests\n";

/// A running throwaway machine.
pub struct Machine {
    host: Host,
    env: Vec<(String, String)>,
}

/// What a command printed and how it ended, with assertions that show all of it when they fail.
#[derive(Debug)]
pub struct Done {
    what: String,
    output: Output,
}

impl Machine {
    /// A machine with nothing of isconf on it but the binary; `None` where tests cannot make
    /// machines (not root), which is a failure in the pipeline.
    pub fn bare(name: &str) -> Option<Self> {
        Self::with(super::spec(name))
    }

    /// The same on another filesystem or with other mounts; start from [`super::spec`].
    pub fn with(spec: HostSpec) -> Option<Self> {
        Some(Self {
            host: super::start(spec)?,
            env: Vec::new(),
        })
    }

    /// A machine that belongs to [`DOMAIN`], with the tests' key.
    pub fn ready(name: &str) -> Option<Self> {
        let machine = Self::bare(name)?;
        machine.join_domain();
        Some(machine)
    }

    /// A machine of the domain whose branch is locked, for tests that change things.
    pub fn locked(name: &str) -> Option<Self> {
        let machine = Self::ready(name)?;
        machine.isconf(["lock", "for the test"]).code(0);
        Some(machine)
    }

    /// An origin and a target of the same domain.
    pub fn pair() -> Option<(Self, Self)> {
        Some((Self::ready("origin")?, Self::ready("target")?))
    }

    /// The same, where the origin checked in what `make` makes, and the target has it to replay.
    pub fn pair_with(make: impl FnOnce(&Self)) -> Option<(Self, Self)> {
        let (origin, target) = Self::pair()?;
        origin.checks_in_for(&target, make);
        Some((origin, target))
    }

    /// Gives it the domain and the key, as `isconf init` and a copied key file do.
    pub fn join_domain(&self) {
        self.isconf(["init", DOMAIN]).code(0);
        self.write("/var/is/conf/hmac_keys", KEY);
        self.sh("chmod 600 /var/is/conf/hmac_keys").code(0);
    }

    /// Sets an environment variable for every later command.
    pub fn setenv(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs isconf with these arguments in `/root`.
    pub fn isconf<A: AsRef<OsStr>, const N: usize>(&self, args: [A; N]) -> Done {
        let mut argv = vec![OsStr::new("isconf").to_owned()];
        argv.extend(args.iter().map(|a| a.as_ref().to_owned()));
        self.run(&argv)
    }

    /// Runs any command.
    pub fn run(&self, argv: &[std::ffi::OsString]) -> Done {
        let vars = self.env.iter();
        let command = vars.fold(self.host.command(argv), |command, (name, value)| {
            command.env(name, value)
        });
        let output = command.run().expect("a command can be run on the machine");
        Done {
            what: format!("{argv:?}"),
            output,
        }
    }

    /// Runs a shell script.
    pub fn sh(&self, script: &str) -> Done {
        self.run(&["/bin/sh".into(), "-c".into(), script.into()])
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.host
            .write(path, content)
            .expect("a file can be written");
    }

    /// Reads a file.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        self.host.read(path).expect("the file can be read")
    }

    /// Reads a file as text.
    pub fn read(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).expect("the file is text")
    }

    /// Whether something is at `path`.
    pub fn exists(&self, path: &str) -> bool {
        self.host.exists(path)
    }

    /// The complete listing of everything below the root that can change.
    pub fn manifest(&self) -> String {
        self.host
            .manifest("/")
            .expect("the tree can be listed")
            .to_string()
    }

    /// The listing without isconf's own files.
    pub fn manifest_of_others(&self) -> String {
        let own = |line: &&str| !line.contains("/var/is") && !line.contains("/.isconf");
        self.manifest()
            .lines()
            .filter(own)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Must be, apart from isconf's own files, as it was; shows only the lines that differ.
    #[track_caller]
    pub fn is_still(&self, before: &str) {
        let now = self.manifest_of_others();
        let gone = before
            .lines()
            .filter(|line| !now.contains(line))
            .map(|l| format!("-{l}"));
        let new = now
            .lines()
            .filter(|line| !before.contains(line))
            .map(|l| format!("+{l}"));
        let differences: Vec<_> = gone.chain(new).take(20).collect();
        assert!(
            before == now,
            "the machine changed:\n{}",
            differences.join("\n")
        );
    }

    /// Makes entries under the lock, checks them in, and takes them to `target`.
    #[track_caller]
    pub fn checks_in_for(&self, target: &Self, make: impl FnOnce(&Self)) {
        self.isconf(["lock", "x"]).code(0);
        make(self);
        self.isconf(["ci"]).code(0);
        self.bundle_to(target);
    }

    /// Takes the journal of this machine to `target` as a file, the way hosts without any network
    /// are kept in step.
    pub fn bundle_to(&self, target: &Self) {
        self.isconf(["bundle", "export", "/root/journal.bundle"])
            .code(0);
        let bytes = self
            .host
            .read("/root/journal.bundle")
            .expect("the bundle is there");
        self.sh("rm /root/journal.bundle").code(0);
        target.write("/tmp/journal.bundle", bytes);
        target
            .isconf(["bundle", "import", "/tmp/journal.bundle"])
            .code(0);
        target.sh("rm /tmp/journal.bundle").code(0);
    }

    /// The machine itself, for what only a few tests need.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The machine after a reboot.
    #[must_use]
    pub fn rebooted(self) -> Self {
        Self {
            host: self.host.reboot().expect("the machine boots again"),
            env: self.env,
        }
    }
}

impl Done {
    /// Must have ended with this status.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.status(), expected, "status of {}", self.shown());
        self
    }

    /// Must not have ended with 0.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert_ne!(self.status(), 0, "status of {}", self.shown());
        self
    }

    /// Must have said this on standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.err().contains(text),
            "standard error lacks {text:?}: {}",
            self.shown()
        );
        self
    }

    /// Must not have said this on standard error.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        assert!(
            !self.err().contains(text),
            "standard error has {text:?}: {}",
            self.shown()
        );
        self
    }

    /// Must have printed this on standard output.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.out().contains(text),
            "standard output lacks {text:?}: {}",
            self.shown()
        );
        self
    }

    /// Must not have printed this on standard output.
    #[track_caller]
    pub fn does_not_print(self, text: &str) -> Self {
        assert!(
            !self.out().contains(text),
            "standard output has {text:?}: {}",
            self.shown()
        );
        self
    }

    /// The exit status; 128 + the signal for a command that was killed.
    pub fn status(&self) -> i32 {
        self.output.code()
    }

    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn shown(&self) -> String {
        format!(
            "{}\nstatus {}\n--- stdout\n{}\n--- stderr\n{}",
            self.what,
            self.status(),
            self.out(),
            self.err()
        )
    }
}
