//! `keys`: makes, changes and lists the keys of the domain. Upholds: a key is never printed.

use crate::cli::{Failure, Session};
use crate::identity::{HmacKeys, RotationStep};
use crate::ui::exit::ExitCode;

/// Makes a key and puts it first.
pub fn keys_generate(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let _host = session.host_lock(member.home(), "keys generate")?;
    let path = &member.settings.hmac_keys.value;
    let fingerprint = HmacKeys::add_generated(path)?;
    let path = path.display();
    session
        .out
        .info(&format!("key {fingerprint} is now the first in {path}"));
    session.out.info(&format!(
        "copy {path} to the other hosts of the domain; on those that have keys already, add its first line below theirs before you put it first."
    ));
    Ok(ExitCode::Ok)
}

/// Takes the next step of changing the key.
pub fn keys_rotate(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let _host = session.host_lock(member.home(), "keys rotate")?;
    let path = &member.settings.hmac_keys.value;
    if HmacKeys::load(path)?.is_empty() {
        let message = format!("there are no keys in {}", path.display());
        return Err(Failure::new(ExitCode::Failure, message)
            .hint("`isconf keys generate` makes one; there is nothing to be changed before."));
    }
    let step = HmacKeys::rotate(path)?;
    let path = path.display();
    let (done, next) = match step {
        RotationStep::Known => (
            format!("a new key is in {path} and does not sign yet (step 1 of 3)"),
            format!("copy {path} to all other hosts; when all have it, say `isconf keys rotate` on each: then it signs."),
        ),
        RotationStep::Signs => (
            "the new key signs here, the old ones are still known (step 2 of 3)".to_owned(),
            "when it signs on all hosts, say `isconf keys rotate` on each once more: then the old ones go.".to_owned(),
        ),
        RotationStep::Gone => (
            "the old keys are gone here (step 3 of 3)".to_owned(),
            "hosts that did not take part can be let in again with a copy of the file.".to_owned(),
        ),
    };
    session.out.info(&done);
    session.out.info(&next);
    Ok(ExitCode::Ok)
}

/// Lists the keys by their fingerprints.
pub fn keys_list(session: &mut Session) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let path = &member.settings.hmac_keys.value;
    let keys = HmacKeys::load(path)?;
    if keys.is_empty() {
        let path = path.display();
        session.out.info(&format!("there are no keys in {path}"));
        session.out.info("`isconf keys generate` makes one.");
    }
    let mut text = String::new();
    for (index, fingerprint) in keys.fingerprints().iter().enumerate() {
        let use_of = if index == 0 {
            "signs and verifies"
        } else {
            "verifies"
        };
        text.push_str(&format!("{}  {fingerprint}  {use_of}\n", index + 1));
    }
    if keys.accepts_anything() {
        text.push_str("+ANY+  accepts what none of the keys made\n");
    }
    session.out.result(&text)?;
    warn_of_weak(session, &keys);
    Ok(ExitCode::Ok)
}

/// Names keys that somebody may guess. They work, as they did in the original.
pub fn warn_of_weak(session: &mut Session, keys: &HmacKeys) {
    for weak in keys.weak() {
        session.out.warning(&format!(
            "key {weak} has less than {} characters and may be guessed: `isconf keys rotate` makes one that is not",
            HmacKeys::GUESSED_BELOW
        ));
    }
}
