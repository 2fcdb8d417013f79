//! What is said about every kind of failure: code, message, hints. Upholds: hints are tested as text.

use std::path::{Path, PathBuf};
use std::time::Duration;

use isconf_sandbox::change::Digest;

use super::*;
use crate::bundle::{BundleError, BundleFault, ImportError};
use crate::chain::{BrokenChain, ChainError, Fault};
use crate::config::{MissingDomain, SettingFault, SettingsError};
use crate::daemon::StartError;
use crate::durable::FileError;
use crate::history::{HistoryError, NotAPrefix};
use crate::identity::{HmacKeysError, HostKeyError};
use crate::journal::JournalError;
use crate::lock::{Held, Holder, HostLockError};
use crate::model::{Author, DomainName, EntryId, EntryRef, InvalidName, LockMessage, Moment};
use crate::store::StoreError;
use crate::tour::{HostError, TourError};

fn generic() -> BranchName {
    BranchName::generic()
}

fn at(seq: u64) -> EntryRef {
    EntryRef {
        seq,
        id: EntryId(Digest::of(b"")),
    }
}

fn refused(errno: i32) -> FileError {
    FileError::of("open", Path::new("/is/conf/.lock"))(io::Error::from_raw_os_error(errno))
}

fn broken(path: &str, fault: Fault) -> ChainError {
    let path = PathBuf::from(path);
    ChainError::Broken(Box::new(BrokenChain {
        path,
        line: 7,
        seq: 2,
        fault,
    }))
}

fn held() -> LockError {
    LockError::HeldByOther(Box::new(Held {
        host: crate::model::PublicKey::from_bytes([1; 32]),
        takes_over: false,
        author: Author::new("alice@h1").unwrap(),
        message: LockMessage::new("mine").unwrap(),
        since: Moment::EPOCH,
        fence: 1,
        journal: at(0),
    }))
}

/// What is said: the message, and a part of the hint (empty: there is none).
type Row = (Failure, ExitCode, &'static str, &'static str);

#[track_caller]
fn check(rows: Vec<Row>) {
    for (failure, code, message, hint) in rows {
        assert_eq!((failure.code, failure.message.as_str()), (code, message));
        let hints = failure.hints.join("\n");
        assert_eq!(hints.is_empty(), hint.is_empty(), "{message}: {hints}");
        assert!(hints.contains(hint), "{message}: {hints}");
        assert!(!failure.message.contains('\n'), "{message}");
    }
}

#[test]
fn refusals_of_the_original_keep_their_words_and_codes() {
    check(vec![
        (
            Failure::need_message(&generic()),
            ExitCode::NeedMessage,
            "did not lock generic: changelog/lock message (-m) required",
            "isconf lock",
        ),
        (
            Failure::out_of_date(),
            ExitCode::Failure,
            "local node is out of date -- try 'isconf up' first",
            "",
        ),
        (
            Failure::not_checked_in(),
            ExitCode::Failure,
            "local changes not checked in",
            "isconf ci",
        ),
        (
            Failure::of_lock(LockError::NotLocked, &generic()),
            ExitCode::NotLocked,
            "generic is not locked",
            "isconf lock",
        ),
        (
            Failure::of_lock(held(), &generic()),
            ExitCode::Locked,
            "generic is locked by: alice@h1: mine (lock time 1970-01-01 00:00:00 UTC)",
            "ask alice@h1",
        ),
        (
            MissingDomain {
                path: "/is/conf/domain".into(),
            }
            .into(),
            ExitCode::Failure,
            "/is/conf/domain is missing",
            "isconf init",
        ),
        (
            JournalError::BranchExists(generic()).into(),
            ExitCode::Failure,
            "generic already exists -- did you mean 'migrate'?",
            "",
        ),
    ]);
}

#[test]
fn refusals_of_the_system_name_the_file_and_the_way_out() {
    check(vec![
        (
            HostLockError::File(refused(libc_errno::EACCES)).into(),
            ExitCode::Trouble,
            "cannot open /is/conf/.lock: Permission denied",
            "run it as root",
        ),
        (
            JournalError::File(refused(libc_errno::EROFS)).into(),
            ExitCode::Trouble,
            "cannot open /is/conf/.lock: Read-only file system",
            "inside a scratchpad",
        ),
        (
            StoreError::File(refused(libc_errno::ENOSPC)).into(),
            ExitCode::Trouble,
            "cannot open /is/conf/.lock: No space left on device",
            "make room",
        ),
        (
            HistoryError::File(refused(libc_errno::EIO)).into(),
            ExitCode::Trouble,
            "cannot open /is/conf/.lock: Input/output error",
            "",
        ),
    ]);
}

/// The errnos used here.
mod libc_errno {
    use nix::errno::Errno;

    pub(super) const EACCES: i32 = Errno::EACCES as i32;
    pub(super) const EROFS: i32 = Errno::EROFS as i32;
    pub(super) const ENOSPC: i32 = Errno::ENOSPC as i32;
    pub(super) const EIO: i32 = Errno::EIO as i32;
}

#[test]
fn damage_is_named_by_line_with_what_to_restore_from() {
    let zero = Digest::of(b"");
    check(vec![
        (
            JournalError::Chain(broken("/j", Fault::Changed)).into(),
            ExitCode::Trouble,
            "/j, line 7, record 2: was changed while it was in use",
            "isconf bundle import",
        ),
        (
            HistoryError::Chain(broken("/h", Fault::Changed)).into(),
            ExitCode::Trouble,
            "/h, line 7, record 2: was changed while it was in use",
            "backup",
        ),
        (
            HistoryError::Chain(broken("/h", Fault::TornTail { offset: 5 })).into(),
            ExitCode::Trouble,
            "/h, line 7, record 2: incomplete, from byte 5 to the end of the file",
            "repairs it",
        ),
        (
            StoreError::Missing(zero).into(),
            ExitCode::Trouble,
            "blob e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 is missing",
            "isconf bundle export",
        ),
        (
            HistoryError::NotAPrefix(NotAPrefix {
                history: "/h".into(),
                receipt: 3,
                at: at(9),
                journal: "/j".into(),
            })
            .into(),
            ExitCode::Trouble,
            "/h (record 3) stands at entry 9 \
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, which is not in /j",
            "isconf migrate",
        ),
        (
            HostKeyError::Exposed {
                path: "/k".into(),
                mode: 0o644,
            }
            .into(),
            ExitCode::Trouble,
            "/k may be read by others (mode 644)",
            "chmod 600 /k",
        ),
        (
            HmacKeysError::TooMany("/k".into()).into(),
            ExitCode::Usage,
            "/k has more than 32 keys",
            "remove keys",
        ),
    ]);
}

#[test]
fn wrong_settings_are_one_line_and_end_with_22() {
    let fault = |line| SettingFault::Unknown {
        name: "IS_X".to_owned(),
        file: "/m".into(),
        line,
    };
    let reserved =
        "there is no setting IS_X. Names that start with IS_ are reserved; `isconf env` lists them";
    let failure = Failure::from(SettingsError::Faults(vec![fault(3), fault(5)]));
    assert_eq!(failure.code, ExitCode::Usage);
    assert_eq!(
        failure.message,
        format!("/m:3: {reserved}; /m:5: {reserved}")
    );
    check(vec![(
        SettingsError::NoMainCf { path: "/m".into() }.into(),
        ExitCode::NotFound,
        "/m: No such file or directory",
        "-c",
    )]);
    let name = Failure::from(InvalidName::Host("!".to_owned()));
    assert_eq!(name.code, ExitCode::Usage);
}

#[test]
fn who_is_busy_or_in_the_way_is_said() {
    let holder = Holder {
        pid: 12,
        verb: "up".to_owned(),
        since: Moment::EPOCH,
    };
    check(vec![
        (
            HostLockError::Held(Some(holder)).into(),
            ExitCode::Retry,
            "another isconf is at work on this host: isconf up (process 12, since 1970-01-01T00:00:00.000000000Z)",
            "again when it is done",
        ),
        (
            StartError::TooSlow(Duration::from_secs(30)).into(),
            ExitCode::Failure,
            "the daemon was not ready after 30 s and was killed",
            "--foreground",
        ),
        (
            TourError::Host(HostError::NotRoot { uid: 1000 }).into(),
            ExitCode::Failure,
            "a throwaway host needs root, and the effective uid is 1000",
            "as root",
        ),
    ]);
}

#[test]
fn a_bundle_that_is_not_taken_in_is_said() {
    let bundle = |fault| {
        ImportError::Bundle(BundleError {
            path: "/b".into(),
            offset: 4,
            fault,
            source: None,
        })
    };
    check(vec![
        (
            bundle(BundleFault::Unauthenticated).into(),
            ExitCode::Failure,
            "/b, byte 4: no key of this domain vouches for the bundle",
            "--allow-unauthenticated",
        ),
        (
            bundle(BundleFault::CutOff).into(),
            ExitCode::Trouble,
            "/b, byte 4: cut off",
            "Export the bundle again",
        ),
        (
            ImportError::Gap { first: 9, last: 4 }.into(),
            ExitCode::Failure,
            "the bundle begins with entry 9, and the journal here ends with entry 4",
            "--since 4",
        ),
        (
            ImportError::WrongDomain {
                expected: DomainName::new("aa").unwrap(),
                found: DomainName::new("bb").unwrap(),
            }
            .into(),
            ExitCode::Failure,
            "the bundle is one of domain bb, not aa",
            "never mix",
        ),
    ]);
}

#[test]
fn a_cause_that_is_told_already_is_not_told_twice() {
    let error = HostError::File {
        path: "/x".into(),
        source: io::Error::from_raw_os_error(libc_errno::EIO),
    };
    assert_eq!(chain(&error), "/x: Input/output error");
}
