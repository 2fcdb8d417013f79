//! From what the user typed to what we will do. Pure. Upholds: anything not understood, or not
//! meaningful together, is refused before anything is done.

use std::ffi::OsString;

use crate::check_in::Strictness;
use crate::model::{
    BranchName, DomainName, Handling, InvalidName, InvalidScratchName, LockMessage, Network,
    OnFailure, ScratchName,
};
use crate::replay::{Outside, Repeat};
use crate::ui::output::Volume;

use super::args::{
    BundleVerb, CommandLine, DiffArgs, DomainVerb, EnvArgs, ExecArgs, InitArgs, KeysVerb, LockArgs,
    ReportArgs, SnapArgs, TryArgs, UpArgs, Verb,
};
use super::hazard_args::CiArgs;
use super::invocation::{
    Command, Consent, Diffs, EntryName, EnvFormat, ExecCommand, FailedCommand, Format, Invocation,
    JournalPolicy, Others, OthersWork, Place, Presentation, Reading, RebootPolicy, ReportForm,
    RunMode, Times, Trust, TryCommand, UpCommand, Wip,
};
use super::preview_args::{NoopArg, OfflineArg};

/// A command line that has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// There is nothing to do.
    #[error("missing verb")]
    MissingVerb,
    /// `-m` with another verb than `lock`.
    #[error("-m is only valid on lock")]
    MessageWithoutLock,
    /// `-r` with another verb than `up`.
    #[error("-r is only valid on up")]
    RebootWithoutUp,
    /// `-r` with `--noop`.
    #[error("-r and --noop contradict each other")]
    RebootInPreview,
    /// `-m` before and after `lock`.
    #[error("-m is given twice")]
    MessageTwice,
    /// `-q` and `-D`.
    #[error("-q and -D contradict each other")]
    QuietAndDebug,
    /// A lock message that is no text.
    #[error("the lock message is not UTF-8 text")]
    MessageNotText,
    /// `snap` without a path.
    #[error("missing snapshot pathname")]
    MissingPath,
    /// `--diff` with a verb that does not have both contents at hand.
    #[error("{0} cannot show the lines that changed: --diff is for up, exec and try")]
    NoLines(&'static str),
    /// `exec` without a command.
    #[error("missing exec command")]
    MissingCommand,
    /// `exec` or `try` with an empty command.
    #[error("the command is an empty word")]
    EmptyCommand,
    /// `try` without anything to do.
    #[error("missing command, --shell, --list, --show, --drop or --commit")]
    NothingToTry,
    /// `try` with two things to do.
    #[error("{0} is of no use with --list, --show, --drop and --commit")]
    OfNoUse(&'static str),
    /// An option of `try --commit` without it.
    #[error("{0} is of use with --commit only")]
    OnlyWithCommit(&'static str),
    /// The name of a branch or domain.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The name of a scratchpad.
    #[error(transparent)]
    ScratchName(#[from] InvalidScratchName),
    /// The name of an environment variable.
    #[error(
        "--env takes the name of an exported variable (FOO=1 isconf exec --env FOO ...), not {0:?}"
    )]
    VariableName(String),
    /// `--offline` with what becomes real.
    #[error(
        "--offline is of use with --noop only; `exec --network none` records a command without a network"
    )]
    OfflineForReal,
    /// `--offline` with `--network`.
    #[error("--offline and --network contradict each other")]
    OfflineWithNetwork,
    /// No network that there is.
    #[error("--network is host or none, not {0:?}")]
    Network(String),
    /// Neither a sequence number nor the start of an id.
    #[error(
        "not an entry (a sequence number from 1, or the first 8 to 64 hexadecimal digits of an id): {0:?}"
    )]
    EntryName(String),
}

/// Resolves a command line.
pub fn resolve(line: CommandLine) -> Result<Invocation, UsageError> {
    let verb = line.verb.ok_or(UsageError::MissingVerb)?;
    if line.message.is_some() && !matches!(verb, Verb::Lock(_)) {
        return Err(UsageError::MessageWithoutLock);
    }
    if line.reboot_ok && !matches!(verb, Verb::Up(_)) {
        return Err(UsageError::RebootWithoutUp);
    }
    let volume = match (line.quiet, line.debug) {
        (true, true) => return Err(UsageError::QuietAndDebug),
        (true, false) => Volume::Quiet,
        (false, true) => Volume::Debug,
        (false, false) => Volume::Normal,
    };
    let before = Before {
        message: line.message,
        reboot_ok: line.reboot_ok,
    };
    Ok(Invocation {
        config: line.config,
        volume,
        command: command(verb, before)?,
    })
}

/// The flags before the verb that belong to one verb.
struct Before {
    message: Option<OsString>,
    reboot_ok: bool,
}

fn command(verb: Verb, before: Before) -> Result<Command, UsageError> {
    Ok(match verb {
        Verb::Lock(args) => lock(args, before.message)?,
        Verb::Unlock(args) => Command::Unlock {
            wip: either(args.discard, Wip::Discard, Wip::Keep),
        },
        Verb::Snap(args) => snap(args)?,
        Verb::Exec(args) => exec(args)?,
        Verb::Reboot => Command::Reboot,
        Verb::Ci(args) => Command::CheckIn(strictness(args)),
        Verb::Up(args) => up(&args, before.reboot_ok)?,
        Verb::Fork(args) => Command::Fork(BranchName::new(args.branch)?),
        Verb::Migrate(args) => Command::Migrate(BranchName::new(args.branch)?),
        Verb::Start(args) => Command::Start(either(
            args.foreground,
            Place::Foreground,
            Place::Background,
        )),
        Verb::Stop => Command::Stop,
        Verb::Restart => Command::Restart,
        Verb::Init(args) => init(args)?,
        Verb::Join(args) => Command::Join {
            address: args.address,
            branch: args.branch.map(BranchName::new).transpose()?,
        },
        Verb::Status(args) => Command::Status(format(args.json)),
        Verb::Log(args) => Command::Log(format(args.json)),
        Verb::Show(args) => Command::Show {
            entry: entry_name(&args.entry)?,
            show: without_lines("show", &args.report)?,
        },
        Verb::History(args) => Command::History(format(args.json)),
        Verb::Undo(args) => Command::Undo {
            run: run_mode(&args.noop),
            show: without_lines("undo", &args.report)?,
        },
        Verb::Try(args) => Command::Try(try_command(args)?),
        Verb::Diff(args) => diff(args),
        Verb::Bundle(verb) => bundle(verb),
        Verb::Tour => Command::Tour,
        Verb::Env(args) => Command::Env(env_format(&args)),
        Verb::Probe(args) => Command::Probe(format(args.json)),
        Verb::Cache(args) if args.prune => Command::Prune(
            either(args.noop, RunMode::Preview, RunMode::Commit),
            format(args.json),
        ),
        Verb::Cache(args) => Command::Cache(
            either(args.verify, Reading::Everything, Reading::Changed),
            format(args.json),
        ),
        Verb::Hosts(args) => Command::Hosts(format(args.json)),
        Verb::Watch(args) => Command::Watch(format(args.json)),
        Verb::Domain(DomainVerb::Recover { yes }) => {
            Command::DomainRecover(either(yes, Consent::Given, Consent::Missing))
        }
        Verb::Keys(KeysVerb::Generate) => Command::KeysGenerate,
        Verb::Keys(KeysVerb::Rotate) => Command::KeysRotate,
        Verb::Keys(KeysVerb::List) => Command::KeysList,
        Verb::Completions { shell } => Command::Completions(shell),
        Verb::Man { directory } => Command::Man { directory },
        Verb::Daemon => Command::Daemon,
    })
}

/// Whether a preview may reach other hosts; only a preview can be kept from them.
fn outside_of_preview(args: OfflineArg, noop: &NoopArg) -> Result<Outside, UsageError> {
    match args.offline && !noop.noop {
        true => Err(UsageError::OfflineForReal),
        false => Ok(either(args.offline, Outside::OutOfReach, Outside::AsNeeded)),
    }
}

fn strictness(args: CiArgs) -> Option<Strictness> {
    match (args.strict, args.no_strict) {
        (true, _) => Some(Strictness::Refuse),
        (false, true) => Some(Strictness::Tell),
        (false, false) => None,
    }
}

/// One of two named choices instead of a boolean.
fn either<T>(flag: bool, yes: T, no: T) -> T {
    if flag { yes } else { no }
}

fn format(json: bool) -> Format {
    either(json, Format::Json, Format::Text)
}

fn run_mode(arg: &NoopArg) -> RunMode {
    either(arg.noop, RunMode::Preview, RunMode::Commit)
}

/// The parser refused the combinations that contradict each other.
fn presentation(args: &ReportArgs) -> Presentation {
    let form = match (args.json, args.summary, args.all) {
        (true, _, _) => ReportForm::Json,
        (false, true, _) => ReportForm::Summary,
        (false, false, true) => ReportForm::AllPaths,
        (false, false, false) => ReportForm::Paths,
    };
    let diffs = match (args.diff, args.no_diff) {
        (true, _) => Diffs::Always,
        (false, true) => Diffs::Never,
        (false, false) => Diffs::Auto,
    };
    Presentation { form, diffs }
}

/// How a verb shows its report that never shows lines.
fn without_lines(verb: &'static str, args: &ReportArgs) -> Result<Presentation, UsageError> {
    match args.diff {
        true => Err(UsageError::NoLines(verb)),
        false => Ok(presentation(args)),
    }
}

/// Joins the message and the words by spaces, as the original did.
fn lock(args: LockArgs, before: Option<OsString>) -> Result<Command, UsageError> {
    if before.is_some() && args.message.is_some() {
        return Err(UsageError::MessageTwice);
    }
    let parts = before.into_iter().chain(args.message).chain(args.words);
    let text = |part: OsString| part.into_string().map_err(|_| UsageError::MessageNotText);
    let parts: Vec<String> = parts.map(text).collect::<Result<_, _>>()?;
    // An empty message is not wrong usage but exit 222, which the verb gives.
    let message = LockMessage::new(&parts.join(" ")).ok();
    Ok(Command::Lock {
        message,
        others_work: match args.take_over {
            true => OthersWork::TakeOver,
            false => OthersWork::Leave,
        },
    })
}

fn snap(args: SnapArgs) -> Result<Command, UsageError> {
    // The parser refuses empty paths.
    if args.paths.is_empty() {
        return Err(UsageError::MissingPath);
    }
    Ok(Command::Snap {
        run: run_mode(&args.noop),
        show: without_lines("snap", &args.report)?,
        paths: args.paths,
    })
}

fn exec(args: ExecArgs) -> Result<Command, UsageError> {
    let is_name = |n: &&OsString| {
        let bytes = n.as_encoded_bytes();
        !bytes.is_empty() && !bytes.contains(&b'=')
    };
    if let Some(bad) = args.env.iter().find(|n| !is_name(n)) {
        return Err(UsageError::VariableName(bad.to_string_lossy().into_owned()));
    }
    outside_of_preview(args.check.offline, &args.noop)?;
    let network = network_or_offline(args.network, args.check.offline)?;
    Ok(Command::Exec(ExecCommand {
        network,
        on_failure: either(args.keep, OnFailure::Keep, OnFailure::TakeBack),
        effects: match (args.live, args.contained) {
            (true, _) => Handling::Live,
            (false, true) => Handling::Contain,
            (false, false) => Handling::Refuse,
        },
        repeat: either(args.check.check_repeatable, Repeat::Check, Repeat::No),
        run: run_mode(&args.noop),
        show: presentation(&args.report),
        argv: argv(args.command, UsageError::MissingCommand)?,
        stdin: args.stdin,
        env: args.env,
    }))
}

/// The network that was asked for; offline there is none.
fn network_or_offline(
    name: Option<String>,
    args: OfflineArg,
) -> Result<Option<Network>, UsageError> {
    match (name, args.offline) {
        (Some(_), true) => Err(UsageError::OfflineWithNetwork),
        (None, true) => Ok(Some(Network::None)),
        (name, false) => name.map(network).transpose(),
    }
}

fn network(name: String) -> Result<Network, UsageError> {
    Network::named(&name).ok_or(UsageError::Network(name))
}

/// A command that can be run, or `missing`.
fn argv(words: Vec<OsString>, missing: UsageError) -> Result<Vec<OsString>, UsageError> {
    match words.first() {
        None => Err(missing),
        Some(program) if program.is_empty() => Err(UsageError::EmptyCommand),
        Some(_) => Ok(words),
    }
}

fn up(args: &UpArgs, reboot_before: bool) -> Result<Command, UsageError> {
    if reboot_before && args.preview.noop.noop {
        return Err(UsageError::RebootInPreview);
    }
    let may_reboot = reboot_before || args.reboot_ok;
    Ok(Command::Up(UpCommand {
        run: run_mode(&args.preview.noop),
        outside: outside_of_preview(args.preview.offline, &args.preview.noop)?,
        reboot: either(may_reboot, RebootPolicy::Reboot, RebootPolicy::Stop),
        on_failure: either(args.keep, OnFailure::Keep, OnFailure::TakeBack),
        others: either(args.wait, Others::Awaited, Others::LeftAlone),
        show: presentation(&args.report),
    }))
}

fn init(args: InitArgs) -> Result<Command, UsageError> {
    let branch = args.branch.map(BranchName::new).transpose()?;
    Ok(Command::Init {
        domain: DomainName::new(args.domain)?,
        branch: branch.unwrap_or_else(BranchName::generic),
    })
}

/// A short number is a sequence number, all else the start of an id.
fn entry_name(text: &str) -> Result<EntryName, UsageError> {
    let bad = || UsageError::EntryName(text.chars().take(80).collect());
    let is_number = (1..8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if is_number {
        let seq = text.parse().ok().filter(|seq| *seq > 0);
        return seq.map(EntryName::Seq).ok_or_else(bad);
    }
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if (8..=64).contains(&text.len()) && text.bytes().all(is_digit) {
        Ok(EntryName::IdStart(text.to_owned()))
    } else {
        Err(bad())
    }
}

fn try_command(args: TryArgs) -> Result<TryCommand, UsageError> {
    let show = presentation(&args.report);
    // The parser waives `requires` where the required option conflicts with another one given.
    if args.even_failed && args.commit.is_none() {
        return Err(UsageError::OnlyWithCommit("--even-failed"));
    }
    if args.unjournaled && args.commit.is_none() {
        return Err(UsageError::OnlyWithCommit("--unjournaled"));
    }
    let is_of_kept = args.list || args.show.is_some() || args.drop.is_some();
    if is_of_kept || args.commit.is_some() {
        return of_kept(&args, show);
    }
    let keep = args.keep.as_deref().map(ScratchName::new).transpose()?;
    let network = network_or_offline(args.network, args.offline)?;
    if args.shell {
        return Ok(TryCommand::Shell {
            network,
            keep,
            show,
        });
    }
    Ok(TryCommand::Run {
        argv: argv(args.command, UsageError::NothingToTry)?,
        network,
        keep,
        show,
    })
}

/// The options of `try` that need no command; the parser lets one of them through.
fn of_kept(args: &TryArgs, show: Presentation) -> Result<TryCommand, UsageError> {
    if args.keep.is_some() {
        return Err(UsageError::OfNoUse("--keep"));
    }
    if args.shell {
        return Err(UsageError::OfNoUse("--shell"));
    }
    if args.offline.offline {
        return Err(UsageError::OfNoUse("--offline"));
    }
    if let Some(name) = &args.show {
        let name = ScratchName::new(name)?;
        return Ok(TryCommand::Show { name, show });
    }
    if let Some(name) = &args.drop {
        return Ok(TryCommand::Drop(ScratchName::new(name)?));
    }
    if let Some(name) = &args.commit {
        return Ok(TryCommand::Commit {
            name: ScratchName::new(name)?,
            failed: either(
                args.even_failed,
                FailedCommand::Allow,
                FailedCommand::Refuse,
            ),
            journal: either(
                args.unjournaled,
                JournalPolicy::Bypassed,
                JournalPolicy::Required,
            ),
            show,
        });
    }
    Ok(TryCommand::List(format(args.report.json)))
}

fn diff(args: DiffArgs) -> Command {
    Command::Diff {
        times: either(args.times, Times::Compared, Times::Ignored),
        reading: either(args.thorough, Reading::Everything, Reading::Changed),
        show: presentation(&args.report),
        paths: args.paths,
    }
}

fn bundle(verb: BundleVerb) -> Command {
    match verb {
        BundleVerb::Export { file, since } => Command::BundleExport { file, since },
        BundleVerb::Import {
            file,
            allow_unauthenticated,
        } => Command::BundleImport {
            file,
            trust: either(allow_unauthenticated, Trust::Anything, Trust::Authenticated),
        },
    }
}

fn env_format(args: &EnvArgs) -> EnvFormat {
    match (args.export, args.json) {
        (true, _) => EnvFormat::Export,
        (false, true) => EnvFormat::Json,
        (false, false) => EnvFormat::Text,
    }
}
