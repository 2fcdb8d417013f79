//! How much of the running system a command reaches. Plain data.

/// How much of the running system a command reaches. What it changes in files is captured either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reach {
    /// Nothing of it: the command has namespaces of its own and gives up rights.
    #[default]
    Contained,
    /// All of it: processes, sockets, devices, the kernel's settings, `/run`. Only files elsewhere are
    /// the scratchpad's, and what is asked of service managers or mount(8) is done outside.
    Live,
}
