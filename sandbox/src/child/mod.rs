//! What runs inside the scratchpad, from clone to exit. Not for mounts (see `mounts`).

mod request;

pub use request::{Effect, EffectKind, EffectOutcome, Exit, Phases, Request, Stream};
