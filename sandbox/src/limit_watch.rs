//! Looks every now and then whether a command went beyond its limits. Not for ending it (see
//! `running`). Upholds: no limit depends on the command's goodwill; a command that ends within the
//! first quarter of a second is looked at once, when it has ended, at the cost of one statvfs(3) a
//! filesystem.

use std::fs::{File, read_dir};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use crate::change::RelPath;
use crate::child::{Exceeded, Limits};
use crate::layout::Layout;

/// The longest time between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// The shortest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The time between two looks into what was written, which take a while.
const WALK_PAUSE: Duration = Duration::from_secs(2);

/// How many bytes a command is taken to be able to write in a second.
const BYTES_A_SECOND: u64 = 4 << 30;

/// The least room that is left on a filesystem: this many bytes, or this part of it if that is less.
const LEAST_ROOM: u64 = 256 << 20;
const LEAST_PART: u64 = 20;

/// How deep and how far what was written is walked.
const MAX_WALKED: usize = 2_000_000;

/// The watch over one command.
#[derive(Debug)]
pub(crate) struct LimitWatch {
    limits: Limits,
    begun: Instant,
    next: Instant,
    next_walk: Instant,
    rooms: Vec<Room>,
    /// How much less room there was at the last look than at the beginning.
    used: u64,
    uppers: Vec<PathBuf>,
}

/// A filesystem that the command can write to.
#[derive(Debug)]
struct Room {
    path: PathBuf,
    mount_point: RelPath,
    /// What was free at the beginning.
    free: u64,
    /// What is to stay free.
    least: u64,
}

impl LimitWatch {
    /// Begins to watch.
    pub(crate) fn begin(limits: Limits, layout: &Layout, begun: Instant) -> Self {
        let mut devices = Vec::new();
        let mut rooms = Vec::new();
        for volume in &layout.volumes {
            // Volumes of one filesystem share their room.
            if !devices.contains(&volume.device) {
                devices.push(volume.device);
                rooms.extend(Room::now(&volume.scratch, &volume.mount_point));
            }
        }
        let mut watch = Self {
            limits,
            begun,
            next: begun,
            next_walk: begun,
            uppers: layout.volumes.iter().map(|volume| volume.upper()).collect(),
            rooms,
            used: 0,
        };
        let left = watch.rooms.iter().map(|room| room.free - room.least).min();
        watch.plan(begun, left.unwrap_or(u64::MAX));
        watch
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Looks, if it is time. `has_more` says whether there are more processes and threads inside than
    /// a number.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        has_more: impl FnOnce(u32) -> bool,
    ) -> Option<Exceeded> {
        if now < self.next {
            return None;
        }
        let (left, used) = match self.room_left() {
            Ok(found) => found,
            Err(exceeded) => return Some(exceeded),
        };
        self.used = used;
        self.plan(now, left);
        let time = self.limits.time;
        if let Some(limit) = time.filter(|limit| now.duration_since(self.begun) >= *limit) {
            return Some(Exceeded::Time(limit));
        }
        if let Some(limit) = self.limits.processes
            && tasks_of_the_host().is_none_or(|tasks| tasks > limit)
            && has_more(limit)
        {
            return Some(Exceeded::Processes(limit));
        }
        None
    }

    /// Looks at what is left when the command has ended by itself.
    pub(crate) fn look_at_the_end(&mut self) -> Option<Exceeded> {
        match self.room_left() {
            Ok((_, used)) => {
                self.used = used;
                self.next_walk = self.begun;
                self.look_at_disk(self.begun)
            }
            Err(exceeded) => Some(exceeded),
        }
    }

    fn plan(&mut self, now: Instant, left: u64) {
        self.next = now + pause(left);
        if let Some(limit) = self.limits.time {
            self.next = self
                .next
                .min((self.begun + limit).max(now + SHORTEST_PAUSE));
        }
    }

    /// How much can be written before there is too little room somewhere, and how much less room
    /// there is than at the beginning.
    fn room_left(&self) -> Result<(u64, u64), Exceeded> {
        let (mut left, mut used) = (u64::MAX, 0u64);
        for room in &self.rooms {
            let Some((free, _)) = free_and_all(&room.path) else {
                continue;
            };
            if free < room.least {
                return Err(Exceeded::Room(room.mount_point.clone()));
            }
            left = left.min(free - room.least);
            used = used.saturating_add(room.free.saturating_sub(free));
        }
        Ok((left, used))
    }

    /// Looks into what was written, if as much room is gone as may be taken: what is missing may be
    /// somebody else's. May take a while.
    pub(crate) fn look_at_disk(&mut self, now: Instant) -> Option<Exceeded> {
        let limit = self.limits.disk?;
        if self.used <= limit || now < self.next_walk {
            return None;
        }
        let taken: u64 = self.uppers.iter().map(|upper| bytes_below(upper)).sum();
        // From its end: a walk that takes long leaves time for all else.
        self.next_walk = Instant::now() + WALK_PAUSE;
        (taken > limit).then_some(Exceeded::Disk(limit))
    }
}

impl Room {
    /// `None` for a filesystem that does not tell.
    fn now(path: &Path, mount_point: &RelPath) -> Option<Self> {
        let (free, all) = free_and_all(path)?;
        Some(Self {
            path: path.to_path_buf(),
            mount_point: mount_point.clone(),
            free,
            least: least(free, all),
        })
    }
}

/// What is to stay free. Where there is less already, an entry may take half of what there is.
fn least(free: u64, all: u64) -> u64 {
    let least = LEAST_ROOM.min(all / LEAST_PART);
    if free < 2 * least { free / 2 } else { least }
}

/// The time until so much can have been written.
fn pause(left: u64) -> Duration {
    let millis = u128::from(left) * 1000 / u128::from(BYTES_A_SECOND);
    let pause = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    pause.clamp(SHORTEST_PAUSE, PAUSE)
}

/// The free bytes and all bytes of a filesystem.
fn free_and_all(path: &Path) -> Option<(u64, u64)> {
    let status = statvfs(path).ok()?;
    let unit = status.fragment_size();
    let bytes = |blocks| unit.checked_mul(blocks);
    let all = bytes(status.blocks())?;
    (all > 0).then_some((bytes(status.blocks_available())?, all))
}

/// How many processes and threads the host has: the fourth field of `/proc/loadavg`, behind its
/// slash (proc_loadavg(5)). There are not more inside.
fn tasks_of_the_host() -> Option<u32> {
    let mut text = String::new();
    let file = File::open("/proc/loadavg").ok()?;
    file.take(200).read_to_string(&mut text).ok()?;
    let (_, all) = text.split(' ').nth(3)?.split_once('/')?;
    all.parse().ok()
}

/// The bytes on disk of everything below a directory; what goes meanwhile is left out.
fn bytes_below(directory: &Path) -> u64 {
    let mut sum = 0u64;
    let mut walked = 0;
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in read_dir(directory).into_iter().flatten().flatten() {
            walked += 1;
            // The metadata of the entry itself: no link is followed.
            let Ok(status) = entry.metadata() else {
                continue;
            };
            sum = sum.saturating_add(status.blocks() * 512);
            if status.is_dir() && walked < MAX_WALKED {
                directories.push(entry.path());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_room_is_a_part_of_a_small_filesystem_and_half_of_a_full_one() {
        let gib = 1 << 30;
        assert_eq!(least(900 * gib, 1000 * gib), LEAST_ROOM);
        assert_eq!(least(gib, gib), gib / LEAST_PART);
        assert_eq!(least(100 << 20, 1000 * gib), 50 << 20);
        assert_eq!(least(0, gib), 0);
    }

    #[test]
    fn one_looks_more_often_when_there_is_little_room() {
        assert_eq!(pause(u64::MAX), PAUSE);
        assert_eq!(pause(BYTES_A_SECOND / 8), Duration::from_millis(125));
        assert_eq!(pause(0), SHORTEST_PAUSE);
    }

    #[test]
    fn what_was_written_is_counted_as_it_lies_on_disk() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("below")).unwrap();
        std::fs::write(place.path().join("below/file"), vec![1; 100_000]).unwrap();
        assert!(bytes_below(place.path()) >= 100_000);
    }

    #[test]
    fn tasks_are_counted() {
        assert!(tasks_of_the_host().unwrap() >= 1);
    }

    #[test]
    fn time_is_up_when_it_is() {
        let layout = Layout {
            tx: crate::layout::TxId::from_parts(1, 2),
            directory: PathBuf::new(),
            root: PathBuf::new(),
            volumes: Vec::new(),
        };
        let limits = Limits {
            time: Some(Duration::from_millis(100)),
            ..Limits::default()
        };
        let begun = Instant::now();
        let mut watch = LimitWatch::begin(limits, &layout, begun);
        assert_eq!(watch.next(), begun + Duration::from_millis(100));
        assert_eq!(
            watch.look(begun + Duration::from_millis(99), |_| true),
            None
        );
        let late = begun + Duration::from_millis(100);
        let expected = Exceeded::Time(Duration::from_millis(100));
        assert_eq!(watch.look(late, |_| true), Some(expected));
    }
}
