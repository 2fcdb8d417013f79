//! Conflicts for programs, as `docs/report.schema.json` describes. Not for people (`report_text`
//! shows them the same facts). Upholds: what is not known of a state is null, and never left out.

use isconf_sandbox::capture::{Glimpse, LiveIdentity};
use isconf_sandbox::change::Timestamp;
use serde::Serialize;

use super::diff::Secrets;
use super::object_json::{BytesJson, NodeJson, time};
use super::report_text::file_type_words;
use crate::model::report::{Conflict, Seen};

/// A live path that is no longer what was expected.
#[derive(Serialize)]
pub(super) struct ConflictJson {
    path: BytesJson,
    seen: Option<SeenJson>,
    found: Option<LiveJson>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SeenJson {
    Live(LiveJson),
    At(GlimpseJson),
    Left { left: Option<NodeJson> },
}

#[derive(Serialize)]
struct GlimpseJson {
    at: String,
    kind: Option<String>,
    mode: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    ino: Option<u64>,
}

#[derive(Serialize)]
struct LiveJson {
    kind: String,
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    ino: u64,
    nlink: u64,
    mtime: String,
    ctime: String,
}

impl ConflictJson {
    /// The conflict; the content of a secret path is not shown.
    pub(super) fn of(conflict: &Conflict, secrets: &dyn Secrets) -> Self {
        let left = |node| NodeJson::of(node, secrets.is_secret(&conflict.path));
        Self {
            path: BytesJson::path(&conflict.path),
            seen: match &conflict.seen {
                Seen::Nothing => None,
                Seen::Live(live) => Some(SeenJson::Live(LiveJson::of(live))),
                Seen::At(moment, glimpse) => Some(SeenJson::At(GlimpseJson::of(*moment, glimpse))),
                Seen::Left(node) => Some(SeenJson::Left {
                    left: Some(left(node)),
                }),
                Seen::AsLeft => Some(SeenJson::Left { left: None }),
            },
            found: conflict.found.as_ref().map(LiveJson::of),
        }
    }
}

impl GlimpseJson {
    fn of(moment: Timestamp, glimpse: &Glimpse) -> Self {
        Self {
            at: time(moment),
            kind: glimpse.kind.map(kind_name),
            mode: glimpse.permissions.map(|mode| format!("{mode:04o}")),
            uid: glimpse.owner.map(|(uid, _)| uid),
            gid: glimpse.owner.map(|(_, gid)| gid),
            size: glimpse.size,
            ino: glimpse.ino,
        }
    }
}

/// The type bits of `st_mode` as a name of the schema.
fn kind_name(mode: u32) -> String {
    file_type_words(mode).replace(' ', "_")
}

impl LiveJson {
    fn of(live: &LiveIdentity) -> Self {
        Self {
            kind: kind_name(live.mode),
            mode: format!("{:04o}", live.mode & 0o7777),
            uid: live.uid,
            gid: live.gid,
            size: live.size,
            ino: live.ino,
            nlink: live.nlink,
            mtime: time(live.mtime),
            ctime: time(live.ctime),
        }
    }
}
