//! Whether this host changed in the same way as the origin, path by path. Pure but for reading the
//! origin's change set from the store. Upholds: equality of hosts is decided over the normal form.

use isconf_sandbox::change::{ChangeSet, Difference, NormalRules, differences_of_runs};

use crate::model::report::{Congruence, Divergence};
use crate::model::{Entry, EntryKind};
use crate::store::{MAX_LIST_BYTES, Store};

/// Compares `here`, which ran within `rules.run`, with what the entry recorded. A snapshot is the
/// same wherever it was installed, since its content and attributes are the entry itself.
pub fn congruence(
    entry: &Entry,
    here: &ChangeSet,
    rules: &NormalRules,
    store: &Store,
) -> Congruence {
    let outcome = &entry.draft.outcome;
    match entry.draft.kind {
        EntryKind::Snap(_) => return Congruence::Same,
        EntryKind::Reboot => return Congruence::Unknown,
        EntryKind::Exec(_) => {}
    }
    if here.normal_digest(rules) == outcome.changes.normal {
        return Congruence::Same;
    }
    let bytes = store.get(&outcome.changes.full, MAX_LIST_BYTES).ok();
    let Some(origin) = bytes.and_then(|bytes| ChangeSet::decode(&bytes).ok()) else {
        return Congruence::Differs(Vec::new());
    };
    let ran = std::time::Duration::from_millis(outcome.duration_ms);
    let began = entry.draft.time.to_timestamp();
    // The draft's time is when work began, before the scratchpad was made; the set-up takes less
    // than the minute that is allowed for it.
    let until = isconf_sandbox::change::Timestamp {
        secs: began.secs + ran.as_secs() as i64 + 60,
        nanos: 0,
    };
    let origin_rules = NormalRules {
        run: (began, until),
        ..rules.clone()
    };
    let found = differences_of_runs((&origin, &origin_rules), (here, rules));
    let divergence = |difference: Difference| Divergence {
        origin: origin.get(&difference.path).cloned(),
        here: here.get(&difference.path).cloned(),
        path: difference.path,
        aspects: difference.aspects,
    };
    if found.is_empty() {
        return Congruence::Same;
    }
    Congruence::Differs(found.into_iter().map(divergence).collect())
}
