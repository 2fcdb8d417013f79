//! Effects: each row of `docs/effects.md` has its test here (or where the row says): the report names
//! what was tried, what it aimed at and by whom, and the live side is as before.

mod daemon;
mod processes;
mod sockets;
mod network;
mod settings;
mod kernel;
mod memory;
mod page;
