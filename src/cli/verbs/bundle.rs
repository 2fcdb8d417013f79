//! `bundle`: carries a branch to a host without a network, as one file. Upholds: a file under the
//! name that was given is a whole bundle; nothing comes in unchecked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::imported::Taking;
use super::serve::tell_daemon;
use crate::bundle::{BundleHeader, Exported, Imported, Source, Target, export, import};
use crate::cli::invocation::{ReportForm, Trust};
use crate::cli::{Failure, Member, Session};
use crate::durable::{self, FileError};
use crate::identity::{Authentication, HmacKeys};
use crate::store::Store;
use crate::ui::exit::ExitCode;
use crate::ui::{counted, human_bytes};
use isconf_sandbox::fs::sync_at;

/// Writes the journal of the branch, with all that it needs, into a file.
pub fn bundle_export(session: &mut Session, file: &Path, since: u64) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch();
    let Some(journal) = member.journal()? else {
        let message = format!("{branch} has no journal on this host");
        return Err(Failure::new(ExitCode::Failure, message)
            .hint("the first `isconf ci` or `isconf bundle import` makes it."));
    };
    check_target(file)?;
    let keys = HmacKeys::load(&member.settings.hmac_keys.value)?;
    let source = Source {
        domain: &member.domain,
        journal: &journal,
        store: &Store::new(member.home().blobs(&member.domain)),
        keys: &keys,
    };
    let mut progress = session.progress(ReportForm::Paths);
    let exported = write_file(file, |out| Ok(export(source, since, out, &mut *progress)?))?;
    drop(progress);
    tell_exported(session, file, &exported);
    Ok(ExitCode::Ok)
}

/// Refuses a name under which no file can be written, before any work is done.
fn check_target(file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        let message = format!("{} is a directory", file.display());
        return Err(Failure::new(ExitCode::Usage, message).hint("name the file to be written."));
    }
    // `FILE` alone has the empty path above it, which is the working directory.
    let above = file.parent().filter(|above| !above.as_os_str().is_empty());
    let directory = above.unwrap_or(Path::new("."));
    if directory.exists() {
        return Ok(());
    }
    let message = format!("{}: No such file or directory", directory.display());
    Err(Failure::new(ExitCode::NotFound, message).hint("make the directory first."))
}

/// Fills a file, root-only, that has its name only when it is whole and durable.
fn write_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let aside = beside(path);
    let mut writer = BufWriter::new(durable::create_private(&aside)?);
    let filled = fill(&mut writer).and_then(|value| {
        let put = put_in_place(writer, &aside, path);
        Ok(put.map(|()| value)?)
    });
    if filled.is_err() {
        // What is told is why the file was not made; a leftover aside is overwritten next time.
        let _told_already = fs::remove_file(&aside);
    }
    filled
}

/// The name under which the file is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

fn put_in_place(writer: BufWriter<File>, aside: &Path, path: &Path) -> Result<(), FileError> {
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error);
    let file = file.map_err(FileError::of("write", aside))?;
    // The content must be durable before the name says that there is a bundle: it may be carried
    // away on this very disk.
    sync_at("bundle.bytes", || file.sync_all()).map_err(FileError::of("sync", aside))?;
    fs::rename(aside, path).map_err(FileError::of("rename", aside))?;
    // Without it the bundle that is told of could vanish.
    sync_at("bundle.name", || durable::sync_directory_of(path))
}

fn tell_exported(session: &mut Session, file: &Path, exported: &Exported) {
    let (header, out) = (&exported.header, &mut session.out);
    let (first, last) = (header.first_seq, header.last.seq);
    let entries = if first > last {
        "no entries".to_owned()
    } else {
        format!("entries {first} to {last}")
    };
    out.info(&format!(
        "{}: {entries}, with {} of {}, written to {}",
        header.branch,
        counted(exported.blobs, "blob"),
        human_bytes(exported.blob_bytes),
        file.display()
    ));
    if !exported.is_authenticated {
        out.warning("no key vouches for the bundle: this host has none");
        out.hint("`isconf keys generate` makes one; export again after that.");
    }
}

/// Takes a bundle in.
pub fn bundle_import(
    session: &mut Session,
    path: &Path,
    trust: Trust,
) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    if path.is_dir() {
        let message = format!("{} is a directory", path.display());
        return Err(Failure::new(ExitCode::Usage, message)
            .hint("name the file that `isconf bundle export` wrote."));
    }
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let message = format!("{}: No such file or directory", path.display());
            return Err(Failure::new(ExitCode::NotFound, message));
        }
        other => other.map_err(FileError::of("open", path))?,
    };
    let keys = HmacKeys::load(&member.settings.hmac_keys.value)?;
    let _this_host = session.open(member.clone(), "bundle import")?;
    let target = Target {
        home: member.home(),
        domain: &member.domain,
        keys: &keys,
        allow_unauthenticated: trust == Trust::Anything,
    };
    let locks = session.domain_locks(member.home(), &member.domain, member.branch())?;
    let mut taking = locks.map(|locks| Taking::new(locks, &member, (session.clock)()));
    let mut progress = session.progress(ReportForm::Paths);
    let mut leave = |header: &BundleHeader| taking.as_mut().is_none_or(|taking| taking.may(header));
    let imported = import(
        target,
        path,
        BufReader::new(file),
        &mut leave,
        &mut *progress,
    );
    drop(progress);
    let imported = match taking {
        None => imported?,
        Some(taking) => taking.end(imported)?,
    };
    tell_imported(session, &member, &imported);
    tell_daemon(session, member.home());
    Ok(ExitCode::Ok)
}

fn tell_imported(session: &mut Session, member: &Member, imported: &Imported) {
    let (header, out) = (&imported.header, &mut session.out);
    match imported.authentication {
        Authentication::Known => out.info("a key of the domain vouches for the bundle"),
        Authentication::AnyAccepted => {
            out.warning("no key vouches for the bundle; +ANY+ accepts it");
        }
        Authentication::Unknown => {
            out.warning("no key vouches for the bundle; --allow-unauthenticated accepts it");
        }
    }
    let (branch, last) = (&header.branch, header.last.seq);
    match imported.new_entries {
        0 => out.info(&format!(
            "{branch}: no new entries, all up to {last} are here"
        )),
        new => out.info(&format!(
            "{branch}: took in entries {} to {last}, with {}",
            last + 1 - new,
            counted(imported.blobs, "blob")
        )),
    }
    if imported.new_entries > 0 && header.branch == *member.branch() {
        out.info("`isconf up` applies them");
    }
}
