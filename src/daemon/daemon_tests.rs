//! The daemon as a process: the test binary runs itself as the daemon, on a home of its own.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::model::{BranchName, DomainName, Home, HostName};
use crate::peer::NetworkFacts;

/// Names the home for the test that plays the daemon.
const HOME_VARIABLE: &str = "ISCONF_TEST_DAEMON_HOME";

const TIMEOUT: Duration = Duration::from_secs(20);

/// A home that stops its daemon when the test ends.
struct Host {
    directory: tempfile::TempDir,
    home: Home,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _the_test_tells = stop(&self.home);
    }
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        Self { directory, home }
    }

    /// Runs `plays_the_daemon` of this binary, by a shell that sets its environment and drops what
    /// the test harness prints before.
    fn start(&self) -> Result<Started, StartError> {
        let binary = std::env::current_exe().unwrap();
        let script = format!(
            "{HOME_VARIABLE}='{}' exec '{}' --exact daemon::tests::plays_the_daemon --ignored --nocapture --quiet 3>&1 >/dev/null",
            self.directory.path().display(),
            binary.display(),
        );
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            patience: TIMEOUT,
        };
        start(&self.home, &launch)
    }

    fn started(&self) -> u32 {
        match self.start().unwrap() {
            Started::Now(pid) => pid,
            other => panic!("{other:?}"),
        }
    }
}

/// Is the daemon when the variable names a home. Descriptor 3 is what `start` listens to.
#[test]
#[ignore = "run by the other tests as the daemon"]
fn plays_the_daemon() {
    let Some(directory) = std::env::var_os(HOME_VARIABLE) else {
        return;
    };
    let pipe = std::fs::File::options().write(true).open("/proc/self/fd/3");
    nix::unistd::dup2_stdout(pipe.unwrap()).unwrap();
    let network = NetworkFacts {
        cache: crate::model::CachePolicy::Full,
        voter_patience: Duration::from_secs(86_400),
        home: Home::new(directory),
        domain: DomainName::new("example.com").unwrap(),
        host: HostName::new("h1").unwrap(),
        branch: BranchName::generic(),
        // Any free one.
        port: 0,
        hmac_keys: "/nonexistent".into(),
        nets: None,
        discovers: false,
    };
    let facts = DaemonFacts {
        auto_up: AutoUpFacts {
            mode: crate::model::AutoUp::Off,
            window: None,
            jitter: Duration::ZERO,
            program: "isconf".into(),
            flags: Vec::new(),
            log: network.home.auto_up_log(),
        },
        network,
        manager: Manager::default(),
        now: SystemTime::now(),
    };
    run(&facts, Attachment::Detached, Log::Nobody).unwrap();
}

#[test]
fn it_starts_answers_and_stops() {
    let host = Host::new();
    assert!(matches!(
        client::status(&host.home, TIMEOUT),
        Err(client::ClientError::NotRunning)
    ));
    let pid = host.started();
    let status = client::status(&host.home, TIMEOUT).unwrap();
    assert_eq!((status.pid, status.domain.as_str()), (pid, "example.com"));
    client::ping(&host.home, TIMEOUT).unwrap();
    let mode = std::fs::metadata(host.home.control_socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let pid_file = std::fs::read_to_string(host.home.pid_file()).unwrap();
    assert_eq!(pid_file, format!("{pid}\n"));
    assert_eq!(stop(&host.home).unwrap(), Stopped::Now(pid));
    assert!(!host.home.control_socket().exists());
    assert_eq!(running_daemon(&host.home).unwrap(), None);
}

#[test]
fn a_second_start_leaves_the_first_alone() {
    let host = Host::new();
    let pid = host.started();
    assert_eq!(host.start().unwrap(), Started::Already(pid));
    assert_eq!(client::status(&host.home, TIMEOUT).unwrap().pid, pid);
}

#[test]
fn without_a_daemon_stop_says_what_it_found_and_start_still_starts() {
    let host = Host::new();
    assert_eq!(stop(&host.home).unwrap(), Stopped::NoPidFile);
    let pid = host.started();
    assert_eq!(stop(&host.home).unwrap(), Stopped::Now(pid));
    assert_eq!(stop(&host.home).unwrap(), Stopped::Already);
    host.started();
}

#[test]
fn what_a_killed_daemon_left_behind_is_not_believed() {
    let host = Host::new();
    let pid = host.started();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    daemon_lock::wait_for_end(&host.home).unwrap();
    assert!(host.home.control_socket().exists());
    // The kernel may close the socket a moment after it frees the lock.
    let asked = client::status(&host.home, TIMEOUT);
    let nobody = matches!(
        asked,
        Err(client::ClientError::NotRunning | client::ClientError::Closed)
    );
    assert!(nobody, "{asked:?}");
    assert_eq!(stop(&host.home).unwrap(), Stopped::Already);
    let next = host.started();
    assert_eq!(client::status(&host.home, TIMEOUT).unwrap().pid, next);
}

#[test]
fn a_verb_may_ask_it_to_stop() {
    let host = Host::new();
    host.started();
    let answer = client::ask(&host.home, Request::Stop, TIMEOUT).unwrap();
    assert_eq!(answer, Answer::Stopping);
    daemon_lock::wait_for_end(&host.home).unwrap();
    assert_eq!(stop(&host.home).unwrap(), Stopped::Already);
}

#[test]
fn garbage_and_silent_connections_do_not_harm_it() {
    let host = Host::new();
    host.started();
    let socket = host.home.control_socket();
    let silent: Vec<_> = (0..8)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    for garbage in [
        &b"\xff\x00\n"[..],
        &[b'x'; 200_000],
        b"{\"version\":9}\n",
        b"\n",
    ] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The daemon may close before it read all.
        let _closed_early = stream.write_all(garbage);
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("refused"), "{answer}");
    }
    client::ping(&host.home, TIMEOUT).unwrap();
    drop(silent);
}

#[test]
fn a_daemon_that_cannot_start_is_an_error() {
    let host = Host::new();
    let launch = |script: &str| Launch {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        patience: TIMEOUT,
    };
    let ended = start(&host.home, &launch("exit 3")).unwrap_err();
    assert!(matches!(ended, StartError::Ended(status) if status.code() == Some(3)));
    let impatient = Launch {
        patience: Duration::from_millis(10),
        ..launch("exec sleep 600")
    };
    assert!(matches!(
        start(&host.home, &impatient),
        Err(StartError::TooSlow(_))
    ));
    let missing = Launch {
        program: "/nonexistent/isconf".into(),
        ..launch("")
    };
    assert!(matches!(
        start(&host.home, &missing),
        Err(StartError::Spawn { .. })
    ));
}

#[test]
fn a_daemon_that_says_nothing_times_out() {
    let host = Host::new();
    std::fs::create_dir_all(host.home.conf()).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(host.home.control_socket()).unwrap();
    let short = Duration::from_millis(20);
    let result = client::status(&host.home, short);
    assert!(
        matches!(result, Err(client::ClientError::TimedOut(_))),
        "{result:?}"
    );
    drop(listener);
}
