//! Whether drafts may be worked on: the history must tell of the same ones, and their authors must
//! be who holds the lock, unless the holder took them over. Not for reading either. Pure. Upholds:
//! drafts belong to the lock under which they were made; what is not checked in is never forgotten.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::wip::WipDraft;
use crate::lock::Held;
use crate::model::{Author, DraftId, Moment};

/// The wip and the history tell of different drafts: one of them was lost or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WipFault {
    /// Drafts were made here, are live, and are not in the wip.
    #[error(
        "{} lacks {missing} of the {made} changes that were made here and are not checked in",
        wip.display()
    )]
    Lost {
        /// The wip's file, which may be missing altogether.
        wip: PathBuf,
        /// How many the history knows of.
        made: usize,
        /// How many of them the wip does not have.
        missing: usize,
    },
    /// The wip has a draft that was not made on this host as its history is now.
    #[error("{}: draft {number} is not in this host's history", wip.display())]
    NotMade {
        /// The wip's file.
        wip: PathBuf,
        /// Which draft, from 1.
        number: usize,
    },
}

/// Drafts that somebody else made under an earlier lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("changes of {}, made here since {since}, are not checked in", names(.authors))]
pub struct OthersDrafts {
    /// Who made them, in the order of their first ones.
    pub authors: Vec<Author>,
    /// How many.
    pub count: usize,
    /// When the first was made.
    pub since: Moment,
}

/// Checks the drafts of the file `wip` against those that the history says were `made` and neither
/// taken back nor checked in.
pub fn check_drafts(wip: &Path, drafts: &[WipDraft], made: &[DraftId]) -> Result<(), WipFault> {
    let wip = wip.to_path_buf();
    let known: HashSet<_> = made.iter().collect();
    let is_unknown = |draft: &WipDraft| !known.contains(&draft.draft.id);
    if let Some(index) = drafts.iter().position(is_unknown) {
        let number = index + 1;
        return Err(WipFault::NotMade { wip, number });
    }
    let (made, missing) = (made.len(), made.len().saturating_sub(drafts.len()));
    match missing {
        0 => Ok(()),
        _ => Err(WipFault::Lost { wip, made, missing }),
    }
}

/// The drafts that others than `holder` made; `None` when there are none.
pub fn drafts_of_others(drafts: &[WipDraft], holder: &Author) -> Option<OthersDrafts> {
    let mut others = drafts
        .iter()
        .map(|wip| &wip.draft)
        .filter(|draft| draft.author != *holder);
    let first = others.next()?;
    let mut found = OthersDrafts {
        authors: vec![first.author.clone()],
        count: 1,
        since: first.time,
    };
    for draft in others {
        found.count += 1;
        if !found.authors.contains(&draft.author) {
            found.authors.push(draft.author.clone());
        }
    }
    Some(found)
}

/// Checks that the lock's holder made the drafts, or said on locking that they are taken over.
pub fn check_holder(drafts: &[WipDraft], held: &Held) -> Result<(), OthersDrafts> {
    match drafts_of_others(drafts, &held.author) {
        Some(others) if !held.takes_over => Err(others),
        Some(_) | None => Ok(()),
    }
}

/// The authors as a list for people.
fn names(authors: &[Author]) -> String {
    let names: Vec<_> = authors.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::draft;
    use crate::model::EntryKind;

    fn drafts(authors: &[&str]) -> Vec<WipDraft> {
        (1..)
            .zip(authors)
            .map(|(number, author)| {
                let mut draft = draft(number, EntryKind::Reboot);
                draft.author = Author::new(*author).unwrap();
                WipDraft { draft, tx: None }
            })
            .collect()
    }

    #[test]
    fn a_wip_that_lacks_drafts_or_has_unknown_ones_is_named() {
        let wip = Path::new("/is/journal.wip");
        let all = drafts(&["a@h1", "a@h1", "a@h1"]);
        let ids: Vec<_> = all.iter().map(|d| d.draft.id).collect();
        assert_eq!(check_drafts(wip, &[], &[]), Ok(()));
        assert_eq!(check_drafts(wip, &all, &ids), Ok(()));
        let lost = check_drafts(wip, &all[..1], &ids).unwrap_err();
        assert!(matches!(
            lost,
            WipFault::Lost {
                made: 3,
                missing: 2,
                ..
            }
        ));
        assert!(matches!(
            check_drafts(wip, &[], &ids),
            Err(WipFault::Lost { missing: 3, .. })
        ));
        assert!(matches!(
            check_drafts(wip, &all, &ids[..1]),
            Err(WipFault::NotMade { number: 2, .. })
        ));
    }

    #[test]
    fn drafts_of_others_are_told_with_names_and_the_first_time() {
        let holder = Author::new("b@h1").unwrap();
        assert_eq!(drafts_of_others(&drafts(&["b@h1"]), &holder), None);
        let others = drafts(&["b@h1", "a@h1", "c@h1", "a@h1"]);
        let found = drafts_of_others(&others, &holder).unwrap();
        assert_eq!((found.count, found.since), (3, others[1].draft.time));
        assert!(found.to_string().starts_with("changes of a@h1 and c@h1, "));
    }
}
