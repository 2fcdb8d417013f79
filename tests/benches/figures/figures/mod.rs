//! What is measured and what is demanded of it. Not for how a program is clocked (`driver`).

mod start;
mod scratchpad;
mod supervision;
mod replay;
mod commit;
mod growth;
mod audit;
mod preview;
mod packages;
mod memory;
mod peers;

use crate::Error;
use crate::page::Page;

/// Adds its lines to the page.
type Measure = fn(&mut Page) -> Result<(), Error>;

/// Everything that can be asked for by name.
pub const ALL: [(&str, Measure); 17] = [
    ("start", start::measure),
    ("try", scratchpad::set_up),
    ("inside", scratchpad::inside),
    ("supervision", supervision::measure),
    ("up", replay::small_files),
    ("replay", replay::many_entries),
    ("idle", replay::nothing_to_do),
    ("commit", commit::ten_thousand),
    ("modified100k", commit::modified),
    ("commit100k", commit::hundred_thousand),
    ("undo", commit::undo),
    ("growth", growth::measure),
    ("diff", audit::measure),
    ("preview", preview::measure),
    ("packages", packages::measure),
    ("memory", memory::measure),
    ("peers", peers::measure),
];
