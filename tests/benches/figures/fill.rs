//! Makes a long journal, and the history of a host that has applied all of it, by isconf's own
//! library: thousands of real entries would take hours to run. Not for entries that can be run.

use isconf::history::History;
use isconf::identity::HostKey;
use isconf::journal::Journal;
use isconf::lock::{AppendLock, Holder, HostLock, Wait};
use isconf::model::{
    Author, BranchName, ChangeDigests, Deed, DomainName, Draft, EntryKind, Exec, Handling, Hex,
    Home, Moment, Network, Outcome, ReceiptBody,
};
use isconf_sandbox::change::Digest;
use isconf_sandbox::child::Exit;

use crate::Error;

/// Makes journal and history in `/var/is`; the domain is `example.com`.
pub fn fill(count: u32) -> Result<(), Error> {
    let home = Home::new("/var/is");
    let (domain, branch) = (DomainName::new("example.com")?, BranchName::generic());
    let holder = Holder {
        pid: std::process::id(),
        verb: "fill".to_owned(),
        since: Moment::EPOCH,
    };
    let lock = HostLock::take(&home.host_lock(), &holder, Wait::No, &mut |_| ())?;
    let right = AppendLock::take(&home, &domain, &branch)?;
    let mut journal = Journal::open_or_create(&right)?;
    let drafts: Vec<Draft> = (0..count).map(draft).collect::<Result<_, _>>()?;
    journal.append(&right, &drafts, &HostKey::from_secret(&[7; 32]))?;
    let mut history = History::open_or_create(&lock, &home, &domain)?;
    for (seq, draft) in (1..).zip(drafts) {
        let at = journal.at(seq).ok_or("an entry was not appended")?;
        let receipt = ReceiptBody {
            deed: Deed::Applied(at),
            branch: branch.clone(),
            changes: Some(draft.outcome.changes),
            tx: None,
            started: Moment::EPOCH,
            finished: Moment::EPOCH,
            congruent: Some(true),
        };
        history.append(&lock, &receipt)?;
    }
    Ok(())
}

/// An entry of usual length.
fn draft(number: u32) -> Result<Draft, Error> {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let line = format!("echo {number} >/etc/example.d/{number}");
    let argv = ["/bin/sh", "-c", line.as_str()].map(Into::into);
    Ok(Draft {
        id: Hex::from_bytes(id),
        author: Author::new("root@origin")?,
        time: Moment::EPOCH,
        message: "what is usual".to_owned(),
        kind: EntryKind::Exec(Exec {
            argv: argv.into(),
            cwd: "/root".into(),
            umask: 0o022,
            env: Vec::new(),
            stdin: None,
            network: Network::Host,
            effects: Handling::Refuse,
        }),
        outcome: Outcome {
            exit: Exit::Status(0),
            changes: ChangeDigests {
                full: Digest::of(&id),
                normal: Digest::of(&id),
            },
            effects: Vec::new(),
            hazards: Vec::new(),
            duration_ms: 5,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    })
}
