//! Takes a finished transaction back: the same steps the other way round, with an intent of its
//! own. Upholds: what somebody changed since is never overwritten.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::crash_point;
use super::facts::LookError;
use super::guard::{Conflict, ConflictKind, Conflicts};
use super::intent::{Direction, Intent, LeftObject, MAX_PAYLOAD_BYTES, fingerprint};
use super::landed::Landed;
use super::record::{RecordError, Records, State, Unwritten};
use super::sites::{OpenError, Sites};
use super::step::{Area, Loc, Move, Object};
use super::transaction::{self, TransactionError};
use crate::change::{Digest, RelPath, Timestamp};
use crate::fs::{Place, Stat, read_metadata, walk};
use crate::layout::{HOME_SCRATCH_DIR, TxId};

/// A transaction was not taken back. The live tree is as before, except after
/// one that [needs recovery](TransactionError::needs_recovery).
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// It is not finished, was taken back already, or its undo data was dropped.
    #[error("transaction {0} cannot be taken back: it is not a finished one")]
    NotDone(TxId),
    /// Live paths are no longer what it left.
    #[error("{} live paths are no longer what the transaction left", .0.total)]
    Conflicts(Conflicts),
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("the payload of {0} bytes is too long")]
    Payload(usize),
    /// A volume could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The live side could not be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Its record could not be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It was begun and did not succeed.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

impl From<Unwritten> for UndoError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Absent(error) => Self::Record(error),
            Unwritten::Undecided(error) => Self::Transaction(TransactionError::Undecided(error)),
        }
    }
}

/// Whether a finished transaction could be taken back now: fails as [`undo`] would that is refused,
/// and changes nothing. The caller holds the host's lock.
pub fn check_undo(home: &Path, root: &Path, tx: &TxId) -> Result<(), UndoError> {
    open(home, root, tx).map(|_| ())
}

/// Takes a finished transaction back, to the bit. `payload` is kept with the intent for whoever
/// recovers it. The caller holds the host's lock.
pub fn undo(home: &Path, root: &Path, tx: &TxId, payload: &[u8]) -> Result<Landed, UndoError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(UndoError::Payload(payload.len()));
    }
    let Undoable {
        directory,
        records,
        done,
        mut sites,
    } = open(home, root, tx)?;
    crash_point("commit.undo.checked");
    let intent = Intent {
        tx: done.tx,
        direction: Direction::Backward,
        payload: payload.to_vec(),
        sites: done.sites,
        steps: done.steps.reversed(),
        left: Vec::new(),
    };
    records.write(&intent)?;
    transaction::carry_out(&mut sites, &records, &intent, &mut |_, _| {})?;
    Ok(Landed::new(intent, directory))
}

/// A finished transaction that nothing stands against taking back.
struct Undoable {
    directory: PathBuf,
    records: Records,
    done: Intent,
    sites: Sites,
}

/// Opens a finished transaction and looks for what changed since.
fn open(home: &Path, root: &Path, tx: &TxId) -> Result<Undoable, UndoError> {
    let directory: PathBuf = home.join(HOME_SCRATCH_DIR).join(tx.as_str());
    let records = match Records::open(&directory) {
        Err(RecordError::Io {
            errno: Errno::ENOENT,
            ..
        }) => {
            return Err(UndoError::NotDone(tx.clone()));
        }
        other => other?,
    };
    if !is_undoable(&records)? {
        return Err(UndoError::NotDone(tx.clone()));
    }
    let done = records.read(State::Done)?;
    let mut sites = Sites::open(root, done.sites.clone())?;
    let finished = records.since(State::Done)?;
    let conflicts = compare(&mut sites, &done, finished)?;
    if !conflicts.is_empty() {
        return Err(UndoError::Conflicts(conflicts));
    }
    Ok(Undoable {
        directory,
        records,
        done,
        sites,
    })
}

/// Whether a transaction is finished and not taken back.
pub(super) fn is_undoable(records: &Records) -> Result<bool, RecordError> {
    let over = [
        State::Undone,
        State::UndoIntent,
        State::UndoRollback,
        State::Dropped,
    ];
    for state in over {
        if records.has(state)? {
            return Ok(false);
        }
    }
    records.has(State::Done)
}

/// Compares the live tree with what the transaction left when it was `finished`.
fn compare(sites: &mut Sites, done: &Intent, finished: Timestamp) -> Result<Conflicts, LookError> {
    let mut conflicts = Conflicts::default();
    let mut known: BTreeMap<(usize, &RelPath), bool> = BTreeMap::new();
    for left in &done.left {
        known.insert((left.volume, &left.path), left.object.is_some());
        let loc = live(left.volume, &left.path);
        let (kind, found) = match difference(sites, &loc, left.object.as_ref(), finished) {
            Ok(None) => continue,
            Ok(Some(difference)) => difference,
            Err(errno) => return Err(look_error(sites, &loc, errno)),
        };
        conflicts.push(Conflict {
            path: sites.live_path(left.volume, &left.path),
            kind,
            expected: None,
            found: found.map(|stat| stat.identity),
        });
    }
    let placed = placed_trees(done);
    for loc in &placed.tops {
        for (path, found) in unknown_below(sites, loc, &known, &placed.moved_in)? {
            conflicts.push(Conflict {
                path: sites.live_path(loc.volume, &path),
                kind: ConflictKind::Appeared,
                expected: None,
                found: Some(found.identity),
            });
        }
    }
    Ok(conflicts)
}

fn live(volume: usize, path: &RelPath) -> Loc {
    Loc {
        volume,
        area: Area::Live,
        path: path.clone(),
    }
}

fn look_error(sites: &Sites, loc: &Loc, errno: Errno) -> LookError {
    LookError {
        path: sites.live_path(loc.volume, &loc.path),
        errno,
    }
}

type Difference = Option<(ConflictKind, Option<Stat>)>;

fn difference(
    sites: &mut Sites,
    loc: &Loc,
    left: Option<&LeftObject>,
    finished: Timestamp,
) -> Result<Difference, Errno> {
    let found = sites.stat(loc)?;
    let (left, stat) = match (left, found) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Ok(Some((ConflictKind::Appeared, found))),
        (Some(_), None) => return Ok(Some((ConflictKind::Vanished, None))),
        (Some(left), Some(stat)) => (left, stat),
    };
    if stat.ino() != left.ino {
        return Ok(Some((ConflictKind::Replaced, found)));
    }
    if left.size.is_some_and(|size| size != stat.identity.size) {
        return Ok(Some((ConflictKind::Changed, found)));
    }
    let parent = sites.parent(loc)?;
    // A write can leave length and time of modification as they were; the time of change it cannot.
    // That alone says little: taking back a later transaction sets it, too.
    if let Some(expected) = left.content
        && stat.identity.ctime >= finished
        && content(parent.place())? != expected
    {
        return Ok(Some((ConflictKind::Changed, found)));
    }
    let Some(expected) = left.meta else {
        return Ok(None);
    };
    let meta = read_metadata(parent.place(), &stat)?;
    let same = fingerprint(&meta, stat.is_directory()) == expected;
    Ok((!same).then_some((ConflictKind::Changed, found)))
}

/// The digest of a file's content.
fn content(place: Place<'_>) -> Result<Digest, Errno> {
    let file = std::fs::File::from(place.open(OFlag::O_RDONLY)?);
    Digest::of_reader(file)
        .map(|(digest, _)| digest)
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
}

/// The trees that a transaction placed as a whole.
struct Placed {
    tops: Vec<Loc>,
    /// What was moved into place from the live tree; below it others' files are welcome.
    moved_in: BTreeSet<RelPath>,
}

fn placed_trees(done: &Intent) -> Placed {
    let moves = &done.steps.moves;
    let arrivals: HashSet<&Loc> = moves
        .iter()
        .filter_map(|step| match step {
            Move::Rename { to, .. } => Some(to),
            _ => None,
        })
        .collect();
    // Live, or a place that a step moved a live object to.
    let is_detached = |place: &Loc| place.area == Area::Live || arrivals.contains(place);
    let mut placed = Placed {
        tops: Vec::new(),
        moved_in: BTreeSet::new(),
    };
    for step in moves {
        match step {
            Move::Rename {
                from,
                to,
                object: Object { state: None, .. },
                ..
            } if to.area == Area::Live => match is_detached(from) {
                true => {
                    placed.moved_in.insert(to.path.clone());
                }
                false => placed.tops.push(to.clone()),
            },
            Move::Exchange { live, new, .. } if new.state.is_none() => {
                placed.tops.push(live.clone());
            }
            _ => {}
        }
    }
    placed
}

fn unknown_below(
    sites: &mut Sites,
    top: &Loc,
    known: &BTreeMap<(usize, &RelPath), bool>,
    moved_in: &BTreeSet<RelPath>,
) -> Result<Vec<(RelPath, Stat)>, LookError> {
    let dir = match sites.dir(top) {
        Ok(dir) => dir,
        // Gone or replaced, which was found already.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(Vec::new()),
        Err(errno) => return Err(look_error(sites, top, errno)),
    };
    let mut unknown = Vec::new();
    let looked = walk::<Errno>(&dir, &mut |path, _, stat| {
        let full = top.path.join(path).map_err(|_| Errno::ENAMETOOLONG)?;
        let is_known = known.get(&(top.volume, &full)).copied().unwrap_or(false);
        if !is_known && !is_below(moved_in, &full) {
            unknown.push((full, *stat));
        }
        Ok(())
    });
    looked.map_err(|errno| look_error(sites, top, errno))?;
    Ok(unknown)
}

/// Whether a path, or a directory above it, is among `tops`.
fn is_below(tops: &BTreeSet<RelPath>, path: &RelPath) -> bool {
    std::iter::successors(Some(path.clone()), RelPath::parent).any(|at| tops.contains(&at))
}
