//! The locks of a domain's branches and the ends of their journals, as the voters of the domain keep them.
//! Pure: what an order does to a ledger is the same on every voter. Upholds: one holder per branch and
//! fence; an entry follows the one before it, so that a journal never forks; an order that was carried out
//! already is granted again, so that whoever missed the answer can ask once more.

use std::collections::BTreeMap;

use isconf_sandbox::change::Digest;
use serde::{Deserialize, Serialize};

use super::branch::{BranchLock, Claim, Held, LockError};
use crate::model::{Author, BranchName, EntryRef, PublicKey};

/// How long the records of a check-in may be that go with the order, in bytes of JSON: some entries. A voter keeps all
/// orders for ever, and on a slow line one has to arrive within a heartbeat.
pub const MAX_INLINE_BYTES: usize = 8 * 1024;

/// How many branches a ledger knows.
const MAX_BRANCHES: usize = 1000;

/// The locks and journal ends of all branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The fence that a branch has before anybody ever locked it.
    first_fence: u64,
    /// The place before the first entry of every branch.
    beginning: EntryRef,
    rows: BTreeMap<BranchName, Row>,
}

/// A branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who may append to it.
    pub lock: BranchLock,
    /// Its last entry.
    pub head: EntryRef,
    /// The host that began it, of another branch.
    pub begun_by: Option<PublicKey>,
}

/// Entries that are to be appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// To which branch.
    pub branch: BranchName,
    /// Under whose lock.
    pub under: Under,
    /// The entry that they follow.
    pub base: EntryRef,
    /// The last of them.
    pub last: EntryRef,
    /// Their records, one behind the other.
    pub records: Records,
}

/// Where the records of a check-in are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Records {
    /// With the order, so that whoever has that has them.
    Inline(String),
    /// In a blob.
    Blob(Digest),
}

impl Records {
    /// Records that go with the order; `None` for more than [`MAX_INLINE_BYTES`].
    pub fn inline(bytes: &[u8]) -> Option<Self> {
        let records = Self::Inline(str::from_utf8(bytes).ok()?.to_owned());
        records.is_bounded().then_some(records)
    }

    /// Whether the order is as short as it has to be.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Inline(text) => {
                text.len() <= MAX_INLINE_BYTES
                    && serde_json::to_string(text).is_ok_and(|json| json.len() <= MAX_INLINE_BYTES)
            }
            Self::Blob(_) => true,
        }
    }
}

/// The lock under which entries were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Under {
    /// Who appends.
    pub author: Author,
    /// On which host.
    pub host: PublicKey,
    /// The number of the lock.
    pub fence: u64,
}

/// What somebody wants of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The lock of a branch.
    Take {
        /// Which.
        branch: BranchName,
        /// Who, why, and on what.
        claim: Claim,
    },
    /// To give up the lock that has this number.
    Release {
        /// Of which branch.
        branch: BranchName,
        /// The number.
        fence: u64,
    },
    /// To free a branch, whoever locked it, if the lock still has this number.
    Break {
        /// Which.
        branch: BranchName,
        /// The number.
        fence: u64,
    },
    /// To append entries, and to give up the lock.
    CheckIn(CheckIn),
    /// To begin a branch that has these entries of another one.
    Begin {
        /// Which.
        branch: BranchName,
        /// The last entry.
        head: EntryRef,
        /// The host that begins it, which may do so again as long as nobody locked it.
        host: PublicKey,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granted {
    /// The lock, as its holder has it.
    Locked(Held),
    /// The branch is free; who had it.
    Freed(Option<Held>),
    /// The entries count.
    CheckedIn,
    /// It is noted.
    Noted,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// Somebody else has the lock.
    #[error("locked by: {}: {} (lock time {})", .0.author, .0.message, .0.since)]
    HeldByOther(Box<Held>),
    /// Nobody has it.
    #[error("not locked")]
    NotLocked,
    /// It was broken and taken again since.
    #[error("the lock with number {expected} was replaced by number {found}")]
    Fenced {
        /// The number that the caller has.
        expected: u64,
        /// The number that counts.
        found: u64,
    },
    /// The journal ends with another entry.
    #[error("the journal ends with entry {} {}", .0.seq, .0.id)]
    OtherHead(EntryRef),
    /// There is a branch of that name.
    #[error("the branch exists")]
    Exists,
    /// There is no room for another branch.
    #[error("there are {MAX_BRANCHES} branches already")]
    TooManyBranches,
}

/// What became of an order.
pub type Verdict = Result<Granted, Denial>;

impl Order {
    /// The branch that it is about.
    pub const fn branch(&self) -> &BranchName {
        match self {
            Self::Take { branch, .. }
            | Self::Release { branch, .. }
            | Self::Break { branch, .. }
            | Self::Begin { branch, .. } => branch,
            Self::CheckIn(check_in) => &check_in.branch,
        }
    }
}

impl Denial {
    /// Of an error of the lock itself; the system has no part in it.
    fn of(error: LockError) -> Self {
        match error {
            LockError::HeldByOther(held) => Self::HeldByOther(held),
            LockError::Fenced { expected, found } => Self::Fenced { expected, found },
            LockError::NotLocked | LockError::File(_) | LockError::Malformed { .. } => {
                Self::NotLocked
            }
        }
    }
}

impl Ledger {
    /// A ledger without branches. Journals begin at `beginning`, fences behind `first_fence`.
    pub const fn new(beginning: EntryRef, first_fence: u64) -> Self {
        Self {
            first_fence,
            beginning,
            rows: BTreeMap::new(),
        }
    }

    /// Notes a branch as it is, for a ledger that is made of files.
    pub fn insert(&mut self, branch: BranchName, mut row: Row) {
        row.lock.fence = row.lock.fence.max(self.first_fence);
        self.rows.insert(branch, row);
    }

    /// A branch as it stands; one that nobody ever locked is as before its first entry.
    pub fn row(&self, branch: &BranchName) -> Row {
        self.rows.get(branch).cloned().unwrap_or(Row {
            lock: BranchLock {
                fence: self.first_fence,
                held: None,
            },
            head: self.beginning,
            begun_by: None,
        })
    }

    /// The branches that are known.
    pub fn rows(&self) -> impl Iterator<Item = (&BranchName, &Row)> {
        self.rows.iter()
    }

    /// Carries an order out, or refuses it and stays as it is.
    pub fn carry_out(&mut self, order: &Order) -> Verdict {
        let branch = order.branch();
        let known = self.rows.contains_key(branch);
        if !known {
            match order {
                // Nobody can have it, and no name is noted for it.
                Order::Release { .. } | Order::Break { .. } => return Ok(Granted::Freed(None)),
                _ if self.rows.len() >= MAX_BRANCHES => return Err(Denial::TooManyBranches),
                _ => {}
            }
        }
        let mut row = self.row(branch);
        let granted = match order {
            Order::Take { claim, .. } => row.take(claim)?,
            Order::Release { fence, .. } | Order::Break { fence, .. } => {
                let held = row.lock.held.clone();
                row.lock = row.lock.released(*fence).map_err(Denial::of)?;
                Granted::Freed(held)
            }
            Order::CheckIn(check_in) => row.check_in(check_in)?,
            Order::Begin { head, host, .. } => {
                let is_again = row.begun_by == Some(*host) && row.lock.fence == self.first_fence;
                if known && !is_again {
                    return Err(Denial::Exists);
                }
                row.head = *head;
                row.begun_by = Some(*host);
                Granted::Noted
            }
        };
        self.rows.insert(branch.clone(), row);
        Ok(granted)
    }
}

impl Row {
    fn take(&mut self, claim: &Claim) -> Verdict {
        // Whose lock it is matters more than whether the host is up to date.
        let (lock, held) = self.lock.clone().taken(claim.clone()).map_err(Denial::of)?;
        if claim.journal != self.head {
            return Err(Denial::OtherHead(self.head));
        }
        self.lock = lock;
        Ok(Granted::Locked(held))
    }

    fn check_in(&mut self, check_in: &CheckIn) -> Verdict {
        if self.head == check_in.last {
            return Ok(Granted::CheckedIn);
        }
        let under = &check_in.under;
        let held = self.lock.check(&under.author, &under.host);
        let held = held.map_err(Denial::of)?;
        if held.fence != under.fence {
            return Err(Denial::Fenced {
                expected: under.fence,
                found: held.fence,
            });
        }
        if self.head != check_in.base {
            return Err(Denial::OtherHead(self.head));
        }
        self.head = check_in.last;
        self.lock = self.lock.broken();
        Ok(Granted::CheckedIn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntryId, LockMessage, Moment};

    const HOST: PublicKey = PublicKey::from_bytes([1; 32]);

    fn at(seq: u64) -> EntryRef {
        EntryRef {
            seq,
            id: EntryId(Digest::of(&seq.to_be_bytes())),
        }
    }

    fn take(author: &str, journal: EntryRef) -> Order {
        Order::Take {
            branch: BranchName::generic(),
            claim: Claim {
                author: Author::new(author).unwrap(),
                host: HOST,
                message: LockMessage::new("why").unwrap(),
                since: Moment::EPOCH,
                journal,
                takes_over: false,
            },
        }
    }

    fn check_in(author: &str, fence: u64, base: EntryRef, last: EntryRef) -> Order {
        Order::CheckIn(CheckIn {
            branch: BranchName::generic(),
            under: Under {
                author: Author::new(author).unwrap(),
                host: HOST,
                fence,
            },
            base,
            last,
            records: Records::Blob(Digest::of(b"records")),
        })
    }

    fn fence_of(verdict: &Verdict) -> u64 {
        match verdict {
            Ok(Granted::Locked(held)) => held.fence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_has_the_lock_and_what_was_checked_in_is_the_end_for_everybody() {
        let mut ledger = Ledger::new(at(0), 100);
        let first = ledger.carry_out(&take("a@h1", at(0)));
        assert_eq!(fence_of(&first), 101);
        let other = ledger.carry_out(&take("b@h2", at(0)));
        assert!(matches!(other, Err(Denial::HeldByOther(held)) if held.fence == 101));
        let order = check_in("a@h1", 101, at(0), at(2));
        assert_eq!(ledger.carry_out(&order), Ok(Granted::CheckedIn));
        // Whoever missed the answer asks again, and nothing happens twice.
        assert_eq!(ledger.carry_out(&order), Ok(Granted::CheckedIn));
        let behind = ledger.carry_out(&take("b@h2", at(0)));
        assert_eq!(behind, Err(Denial::OtherHead(at(2))));
        assert_eq!(fence_of(&ledger.carry_out(&take("b@h2", at(2)))), 102);
    }

    #[test]
    fn the_holder_of_a_broken_lock_cannot_check_in() {
        let mut ledger = Ledger::new(at(0), 0);
        ledger.carry_out(&take("a@h1", at(0))).unwrap();
        let generic = BranchName::generic;
        let unlock = |fence| Order::Break {
            branch: generic(),
            fence,
        };
        let freed = ledger.carry_out(&unlock(1));
        assert!(matches!(freed, Ok(Granted::Freed(Some(held))) if held.fence == 1));
        let late = check_in("a@h1", 1, at(0), at(1));
        assert_eq!(ledger.carry_out(&late), Err(Denial::NotLocked));
        ledger.carry_out(&take("b@h2", at(0))).unwrap();
        assert!(matches!(
            ledger.carry_out(&late),
            Err(Denial::HeldByOther(_))
        ));
        // Whoever meant the lock before does not break this one.
        let (expected, found) = (1, 2);
        assert_eq!(
            ledger.carry_out(&unlock(1)),
            Err(Denial::Fenced { expected, found })
        );
        ledger
            .carry_out(&check_in("b@h2", 2, at(0), at(1)))
            .unwrap();
        // It locks again: another fence, another base.
        let locked = ledger.carry_out(&take("a@h1", at(1)));
        assert_eq!(fence_of(&locked), 3);
        let stale = check_in("a@h1", 1, at(0), at(2));
        let (expected, found) = (1, 3);
        assert_eq!(
            ledger.carry_out(&stale),
            Err(Denial::Fenced { expected, found })
        );
        let wrong_base = check_in("a@h1", 3, at(0), at(2));
        assert_eq!(ledger.carry_out(&wrong_base), Err(Denial::OtherHead(at(1))));
    }

    #[test]
    fn a_branch_begins_once() {
        let mut ledger = Ledger::new(at(0), 0);
        let branch = BranchName::new("web").unwrap();
        let begin = |head, host| Order::Begin {
            branch: branch.clone(),
            head,
            host,
        };
        let twin = PublicKey::from_bytes([2; 32]);
        assert_eq!(ledger.carry_out(&begin(at(1), HOST)), Ok(Granted::Noted));
        assert_eq!(ledger.carry_out(&begin(at(2), HOST)), Ok(Granted::Noted));
        assert_eq!(ledger.carry_out(&begin(at(2), twin)), Err(Denial::Exists));
        let mut lock = take("a@h1", at(2));
        if let Order::Take { branch: of, .. } = &mut lock {
            *of = branch.clone();
        }
        ledger.carry_out(&lock).unwrap();
        assert_eq!(ledger.carry_out(&begin(at(2), HOST)), Err(Denial::Exists));
    }

    #[test]
    fn orders_that_are_refused_change_nothing() {
        let mut ledger = Ledger::new(at(0), 0);
        for number in 0..MAX_BRANCHES {
            let branch = BranchName::new(format!("branch{number}")).unwrap();
            let head = at(1);
            let host = HOST;
            let begin = Order::Begin { branch, head, host };
            ledger.carry_out(&begin).unwrap();
        }
        let before = ledger.clone();
        let refused = ledger.carry_out(&take("a@h1", at(0)));
        assert_eq!(refused, Err(Denial::TooManyBranches));
        assert_eq!(ledger, before);
    }

    #[test]
    fn only_short_text_goes_with_an_order() {
        let bytes = vec![b'x'; MAX_INLINE_BYTES];
        assert!(Records::inline(&bytes[2..]).is_some());
        assert!(Records::inline(&bytes[1..]).is_none(), "with its quotes");
        // In JSON each is six bytes.
        let escaped = vec![1; MAX_INLINE_BYTES / 6 + 1];
        assert!(Records::inline(&escaped).is_none());
        assert!(Records::inline(&[0xff]).is_none());
    }
}
