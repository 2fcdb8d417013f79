//! The verbs of `bundle`, `domain` and `keys` as the user types them. A part of `args`. Upholds: help,
//! completions and man pages are made from this alone.

use std::path::PathBuf;

use clap::Subcommand;

/// The verbs of `bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleVerb {
    /// Write the journal of the branch with all that it needs into a file
    #[command(after_help = "Example:\n  isconf bundle export web.bundle --since 120")]
    Export {
        /// The file; replaced if it exists
        file: PathBuf,
        /// Only entries after this sequence number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        since: u64,
    },
    /// Take in a file made by `bundle export`, after checking it
    ///
    /// All of it, or nothing. The journal here is extended, never replaced; `up` applies what is new.
    #[command(after_help = "Example:\n  isconf bundle import web.bundle")]
    Import {
        /// The file
        file: PathBuf,
        /// Take it in although no key of the domain vouches for it
        #[arg(long)]
        allow_unauthenticated: bool,
    },
}

/// The verbs of `domain`.
#[derive(Debug, Subcommand)]
pub enum DomainVerb {
    /// Begin the locks of the domain anew, after most of the hosts that kept them are lost for good
    ///
    /// This host keeps them alone from then on, and others join it. The journals as they are here count. Says
    /// what it means, and does it with --yes.
    #[command(after_help = "Example:\n  isconf domain recover --yes")]
    Recover {
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

/// The verbs of `keys`.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a new key and put it first in the file of keys
    ///
    /// The first key signs, all of them vouch. Copy the file to the other hosts of the domain.
    #[command(after_help = "Example:\n  isconf keys generate")]
    Generate,
    /// Change the key, in three steps; each is to be taken on every host before the next
    ///
    /// The first makes a new key, which is known and does not sign yet; copy the file to the other hosts
    /// then. With the second it signs, with the third the old one goes. Hosts that are one step apart
    /// understand each other, so nothing stands still meanwhile, and no daemon is restarted.
    #[command(after_help = "Example:\n  isconf keys rotate")]
    Rotate,
    /// List the keys by their fingerprints; never the keys themselves
    #[command(after_help = "Example:\n  isconf keys list")]
    List,
}
