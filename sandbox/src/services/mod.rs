//! What an entry asks of service managers: systemctl(1), init scripts and their like. What concerns
//! files is done in the scratchpad by the program itself; what concerns running services waits for the
//! commit; questions are answered from the live system, as what waits will have changed it. Not for
//! how a program's start is noticed and answered (see `child`), and not for doing what waits: that is
//! the caller's, since only a caller knows whether there will be a commit. Upholds: nothing that is
//! asked here reaches a live service before the commit.
//!
//! ```text
//! a program starts ─Tool→ its words ─Asked→ Desk ─┬─ itself: files, in the scratchpad
//!                                                 ├─ an Action, for later; answered as success would be
//!                                                 └─ the live manager's answer, adjusted
//! ```

mod verb;
mod action;
mod tool;
mod vocabulary;
mod systemctl;
mod scripts;
mod start_stop_daemon;
mod expected;
mod adjust;
mod units;
mod live;
mod answer;
mod unit_files;
mod start;
mod desk;

pub use action::{Action, Manager, Reverse};
pub use live::{Call, Said, ask};
pub use verb::{Running, Verb};

pub(crate) use answer::Answer;
pub(crate) use desk::Desk;
pub(crate) use expected::Expected;
pub(crate) use start::{Response, Start};
pub(crate) use tool::is_candidate;

/// Understands the words of a call as each of the programs would; for the fuzz targets.
pub(crate) fn read_words(words: &[String]) {
    systemctl::asked(words);
    scripts::init_script("x", words);
    scripts::rc_service(words);
    scripts::initctl(None, words);
    scripts::telinit(words);
    start_stop_daemon::asked(words);
    start_stop_daemon::selected(words);
    let argv: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
    start_stop_daemon::stop(&argv);
}
