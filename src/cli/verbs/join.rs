//! `join`: finds the domain and its hosts by the address of one. Upholds: a host belongs to a domain only by
//! the word of a host that has one of its keys; it never changes its domain.

use std::sync::Arc;
use std::time::Duration;

use super::init::init;
use super::serve::{daemon_pid, start_detached};
use crate::cli::{Failure, Session};
use crate::config::Settings;
use crate::daemon::client;
use crate::durable;
use crate::identity::{HmacKeys, HostKey};
use crate::model::{BranchName, DomainName, HostName};
use crate::peer::{self, MeetError, QuestionError};
use crate::ui::exit::ExitCode;

/// How long the daemon may take to meet a host: as many tries as it has addresses.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes this host a member of the domain of the host at `address`, unless it is one, and has the daemon,
/// which is started if it does not run, dial and remember it.
pub fn join(
    session: &mut Session,
    address: &str,
    branch: Option<BranchName>,
) -> Result<ExitCode, Failure> {
    let settings = session.settings()?;
    if let Err(error) = peer::Place::parse(address, settings.port.value) {
        return Err(Failure::new(ExitCode::Usage, error.to_string()));
    }
    match (&settings.domain, branch) {
        (None, branch) => {
            let domain = asked(&settings, address)?;
            init(session, domain, branch.unwrap_or_else(BranchName::generic))?;
        }
        (Some(known), Some(branch)) => {
            init(session, known.value.clone(), branch)?;
        }
        (Some(_), None) => {}
    }
    let member = session.member()?;
    if daemon_pid(&member)?.is_none() {
        start_detached(session, &member)?;
    }
    match client::join(member.home(), address, PATIENCE)? {
        Ok(peer) => {
            let host = peer.host.as_ref().map_or(address, HostName::as_str);
            let domain = &member.domain;
            session.out.info(&format!(
                "{host} is a host of domain {domain}; its address is remembered"
            ));
            Ok(ExitCode::Ok)
        }
        Err(why) => Err(not_joined(address, &why).hint(
            "the address is remembered and tried again while the daemon runs. `isconf keys list` there and here shows whether the keys are the same; domain and port must be, too.",
        )),
    }
}

/// Asks for the domain.
fn asked(settings: &Settings, address: &str) -> Result<DomainName, Failure> {
    let home = &settings.home.value;
    let path = &settings.hmac_keys.value;
    let keys = HmacKeys::load(path)?;
    if keys.is_empty() {
        let directory = home.conf();
        let message = format!("there are no keys in {}", path.display());
        return Err(not_joined(address, &message).hint(format!(
            "copy the file from a host of the domain: `mkdir -m 700 -p {0} && scp -p HOST:{1} {0}`. A domain that does not exist yet is made by `isconf init DOMAIN`.",
            directory.display(),
            path.display()
        )));
    }
    durable::create_directories(&home.conf())?;
    let key = Arc::new(HostKey::load_or_create(&home.host_key())?);
    peer::domain_at(address, settings.port.value, &key, &keys).map_err(|error| {
        let failure = not_joined(address, &error.to_string());
        match error {
            QuestionError::Meet {
                source: MeetError::Stranger,
                ..
            } => failure.hint(
                "`isconf keys list` there shows the keys of its domain, by their fingerprints; one of them has to be here.",
            ),
            _ => failure.hint("is its daemon running (`isconf start`), and its UDP port open?"),
        }
    })
}

fn not_joined(address: &str, why: &str) -> Failure {
    Failure::new(
        ExitCode::Failure,
        format!("no host was joined at {address}: {why}"),
    )
}
