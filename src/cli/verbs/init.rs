//! `init`: makes this host a member of a domain. Upholds: `IS_HOME` is root's alone; a host never
//! changes its domain.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cli::{Failure, Session};
use crate::config::{Origin, Settings};
use crate::durable::{self, FileError, PRIVATE_DIRECTORY_MODE};
use crate::identity::HmacKeys;
use crate::model::{BranchName, DomainName};
use crate::ui::exit::ExitCode;

/// Makes `conf/domain` and `conf/branch`, and the directories for them.
pub fn init(
    session: &mut Session,
    domain: DomainName,
    branch: BranchName,
) -> Result<ExitCode, Failure> {
    let settings = session.settings()?;
    let home = settings.home.value.clone();
    let _host = session.host_lock(&home, "init")?;
    warn_if_exposed(session, home.as_path())?;
    // Read again: another `init` may have been at work until the lock was ours.
    let settings = session.settings()?;
    match domain_of_file(&settings) {
        None => {
            // The domain last: its file is what makes the host a member.
            durable::replace(&home.branch_file(), format!("{branch}\n").as_bytes())?;
            durable::replace(&home.domain_file(), format!("{domain}\n").as_bytes())?;
            let host = &settings.host.value;
            session
                .out
                .info(&format!("{host} is in domain {domain}, on {branch} branch"));
        }
        Some(known) if *known == domain => {
            let known_branch = &settings.branch.value;
            check_branch(known_branch, &branch)?;
            session.out.info(&format!(
                "already in domain {domain}, on {known_branch} branch"
            ));
        }
        Some(known) => return Err(in_another(known, &domain)),
    }
    advise_keys(session, &settings)?;
    Ok(ExitCode::Ok)
}

/// The domain, where a file says it; the environment's is not this host's for good.
fn domain_of_file(settings: &Settings) -> Option<&DomainName> {
    let domain = settings.domain.as_ref()?;
    matches!(domain.origin, Origin::File(_)).then_some(&domain.value)
}

/// Refuses to change the branch; `generic` is also what nobody asked for.
fn check_branch(known: &BranchName, wanted: &BranchName) -> Result<(), Failure> {
    if known == wanted || *wanted == BranchName::generic() {
        return Ok(());
    }
    let message = format!("this host is on {known} branch already");
    let failure = Failure::new(ExitCode::Failure, message);
    Err(failure.hint(format!("`isconf migrate {wanted}` moves it.")))
}

fn in_another(known: &DomainName, wanted: &DomainName) -> Failure {
    let message = format!("this host is in domain {known} and cannot join {wanted}");
    Failure::new(ExitCode::Failure, message)
        .hint("domains never mix; another IS_HOME can belong to another domain.")
}

/// Says when others than root can look into a directory that was there before.
fn warn_if_exposed(session: &mut Session, home: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(home).map_err(FileError::of("stat", home))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let home = home.display();
        session
            .out
            .warning(&format!("others may look into {home} (mode {mode:04o})"));
        session.out.hint(&format!(
            "make it private: chmod {PRIVATE_DIRECTORY_MODE:o} {home}"
        ));
    }
    Ok(())
}

/// Says how hosts of the domain come to trust each other, when nothing is prepared for it.
fn advise_keys(session: &mut Session, settings: &Settings) -> Result<(), Failure> {
    let path = &settings.hmac_keys.value;
    if HmacKeys::load(path)?.is_empty() {
        let path = path.display();
        session.out.info(&format!("there are no keys in {path}"));
        session.out.info(&format!(
            "`isconf keys generate` makes one on one host; copy {path} to the others of the domain."
        ));
    }
    Ok(())
}
