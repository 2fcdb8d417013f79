//! How a stage tells what it is doing, without knowing to whom. Not for results (those are
//! returned). Upholds: libraries do not print; they take a progress sink.

/// What a stage tells while it works. The calls are cheap and may be made for every item.
pub trait Progress {
    /// A new phase begins, of so many steps if that is known.
    fn begin(&mut self, phase: &str, steps: Option<u64>);
    /// So many steps of the phase are done.
    fn done(&mut self, steps: u64);
    /// Nothing is going on any more; takes away what was shown.
    fn end(&mut self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _phase: &str, _steps: Option<u64>) {}
    fn done(&mut self, _steps: u64) {}
    fn end(&mut self) {}
}
