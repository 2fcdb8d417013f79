//! How a stage tells what it is doing, without knowing to whom. Not for results (those are
//! returned). Upholds: libraries do not print; they take a progress sink.

/// What a stage tells while it works. The calls are cheap and may be made for every item.
pub trait Progress {
    /// Whether somebody is watching; what serves nothing but a total need not be found out else.
    fn is_watched(&self) -> bool;
    /// A new phase begins, of so many steps if that is known.
    fn begin(&mut self, phase: &str, unit: Unit, total: Option<u64>);
    /// So many steps of the phase are done.
    fn done(&mut self, steps: u64);
    /// Nothing is going on that can be told; takes away what was shown.
    fn end(&mut self);
}

/// What the steps of a phase are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes read or written.
    Bytes,
    /// Paths looked at or changed.
    Paths,
    /// Records of a journal or a history.
    Records,
    /// Requests to service managers.
    Actions,
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn is_watched(&self) -> bool {
        false
    }

    fn begin(&mut self, _phase: &str, _unit: Unit, _total: Option<u64>) {}
    fn done(&mut self, _steps: u64) {}
    fn end(&mut self) {}
}
