//! The command line as the manual and the acceptance cases have it.

use std::path::PathBuf;

use super::*;
use crate::check_in::Strictness;
use crate::cli::invocation::{
    Command, Consent, Diffs, EntryName, ExecCommand, FailedCommand, Format, JournalPolicy,
    OthersWork, Presentation, RebootPolicy, ReportForm, RunMode, TryCommand, UpCommand, Wip,
};
use crate::model::Network;
use crate::model::{LockMessage, ScratchName};
use crate::ui::output::Volume;

/// What an ordinary report looks like.
const PLAIN: Presentation = Presentation {
    form: ReportForm::Paths,
    diffs: Diffs::Auto,
};

/// Splits at spaces; `''` stands for an empty word.
fn parsed(line: &str) -> Result<Invocation, ParseFailure> {
    let words = line.split(' ').filter(|w| !w.is_empty());
    let words = words.map(|w| OsString::from(if w == "''" { "" } else { w }));
    parse(
        [OsString::from("isconf")]
            .into_iter()
            .chain(words)
            .collect(),
    )
}

fn command(line: &str) -> Command {
    parsed(line)
        .unwrap_or_else(|f| panic!("{line}: {}", f.text))
        .command
}

/// The text of a refusal, which must be for standard error with exit 22.
fn refused(line: &str) -> String {
    let failure = parsed(line).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Usage, "{line}: {}", failure.text);
    assert!(!failure.to_stdout && failure.text.ends_with('\n'), "{line}");
    failure.text
}

fn lock_message(line: &str) -> Option<String> {
    match command(line) {
        Command::Lock { message, .. } => message.map(|m| m.as_str().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn exec(line: &str) -> ExecCommand {
    match command(line) {
        Command::Exec(exec) => exec,
        other => panic!("{other:?}"),
    }
}

fn scratch_name(text: &str) -> ScratchName {
    ScratchName::new(text).unwrap()
}

#[test]
fn definition_is_consistent() {
    definition().debug_assert();
}

#[test]
fn without_arguments_the_usage_has_all_flags_and_verbs() {
    let text = refused("");
    assert!(text.starts_with("missing verb\nusage: isconf "), "{text}");
    for flag in [
        "-c, --config=",
        "-D, --debug",
        "-h, --help",
        "-m, --message=",
        "-q, --quiet",
        "-r, --reboot-ok",
        "-V, --version",
    ] {
        assert!(text.contains(flag), "{flag} in {text}");
    }
    let verbs = "lock, unlock, snap, exec, reboot, ci, up, fork, migrate, start, stop, restart";
    assert!(text.contains(verbs), "{text}");
    assert!(!text.contains("daemon"));
}

#[test]
fn an_unknown_verb_is_named_with_the_usage() {
    let text = refused("frobnicate -x");
    assert!(
        text.starts_with("unknown verb: frobnicate\nusage: "),
        "{text}"
    );
    let nested = refused("bundle frobnicate");
    assert!(nested.contains("isconf bundle"), "{nested}");
}

#[test]
fn help_and_version_are_answers() {
    for line in ["-V", "--version", "--ver", "-V nonsense"] {
        let answer = parsed(line).unwrap_err();
        assert_eq!((answer.exit, answer.to_stdout), (ExitCode::Ok, true));
        assert!(answer.text.contains(env!("CARGO_PKG_VERSION")));
    }
    for line in ["-h", "--help", "up -h", "exec -h", "try --help", "keys -h"] {
        let answer = parsed(line).unwrap_err();
        assert_eq!(
            (answer.exit, answer.to_stdout),
            (ExitCode::Ok, true),
            "{line}"
        );
        assert!(answer.text.contains("Usage: isconf"), "{line}");
        assert!(answer.text.ends_with('\n'), "{line}");
    }
    let long = parsed("--help").unwrap_err().text;
    assert!(long.starts_with("Keeps machines the same"), "{long}");
    let exec = parsed("exec -h").unwrap_err().text;
    assert!(exec.starts_with("Run a command here"), "{exec}");
}

#[test]
fn a_bad_flag_is_wrong_usage() {
    assert!(refused("-z up").contains("-z"));
    assert!(refused("up --nope").contains("--nope"));
    assert!(refused("exec --nope ls").contains("--nope"));
    assert!(refused("stop now").contains("now"));
}

#[test]
fn flags_before_the_verb_are_isconfs() {
    let invocation = parsed("-q -c /x/main.cf -r up").unwrap();
    assert_eq!(invocation.config, Some(PathBuf::from("/x/main.cf")));
    assert_eq!(invocation.volume, Volume::Quiet);
    assert!(matches!(
        invocation.command,
        Command::Up(UpCommand {
            reboot: RebootPolicy::Reboot,
            ..
        })
    ));
    assert_eq!(parsed("-D status").unwrap().volume, Volume::Debug);
    assert_eq!(
        parsed("-Dc f status").unwrap().config,
        Some(PathBuf::from("f"))
    );
    assert!(refused("-q -D status").contains("contradict"));
}

#[test]
fn long_flags_may_be_abbreviated() {
    assert_eq!(parsed("--qui status").unwrap().volume, Volume::Quiet);
    assert_eq!(
        parsed("--conf=x status").unwrap().config,
        Some(PathBuf::from("x"))
    );
    for line in [
        "--reboot_ok up",
        "--reboot-ok up",
        "--reb up",
        "up -r",
        "up --reboot",
    ] {
        assert!(
            matches!(
                command(line),
                Command::Up(UpCommand {
                    reboot: RebootPolicy::Reboot,
                    ..
                })
            ),
            "{line}"
        );
    }
    assert!(matches!(
        command("up --noo --sum"),
        Command::Up(UpCommand {
            run: RunMode::Preview,
            ..
        })
    ));
}

#[test]
fn the_lock_message_is_joined() {
    assert_eq!(lock_message("lock a b c").as_deref(), Some("a b c"));
    assert_eq!(lock_message("-m x lock y").as_deref(), Some("x y"));
    assert_eq!(lock_message("--message=x lock").as_deref(), Some("x"));
    assert_eq!(lock_message("lock -m x y").as_deref(), Some("x y"));
    assert_eq!(
        lock_message("lock fix -x --all").as_deref(),
        Some("fix -x --all")
    );
    for empty in ["lock", "lock ''", "-m '' lock", "-m '' lock ''"] {
        assert_eq!(lock_message(empty), None);
    }
    let newline = ["isconf", "lock", "a\nb"].map(OsString::from).to_vec();
    let message = LockMessage::new("a b").ok();
    let others_work = OthersWork::Leave;
    let lock = Command::Lock {
        message,
        others_work,
    };
    assert_eq!(parse(newline).unwrap().command, lock);
    assert!(refused("-m x lock -m y").contains("twice"));
}

#[test]
fn a_message_belongs_to_lock_and_a_reboot_to_up() {
    let text = refused("-m x ci");
    assert_eq!(
        text,
        "isconf: error: -m is only valid on lock: Invalid argument\n"
    );
    refused("-m x up");
    refused("-m x stop");
    assert!(refused("-r exec ls").contains("-r is only valid on up"));
    for line in [
        "up --offline",
        "exec --offline true",
        "try --offline --list",
    ] {
        assert!(refused(line).contains("--offline"), "{line}");
    }
    assert!(refused("exec -n --offline --network host true").contains("--network"));
    refused("-r up --noop");
    refused("up -r --noop");
}

#[test]
fn what_follows_the_command_is_the_commands() {
    let plain = exec("exec ls -l --noop -- -h");
    assert_eq!(plain.argv, ["ls", "-l", "--noop", "--", "-h"]);
    assert_eq!((plain.run, plain.show), (RunMode::Commit, PLAIN));
    let own = exec("exec --noop --env A --env B --stdin f -- -odd --json");
    assert_eq!(own.argv, ["-odd", "--json"]);
    assert_eq!(
        (own.run, own.stdin),
        (RunMode::Preview, Some(PathBuf::from("f")))
    );
    assert_eq!(own.env, ["A", "B"]);
    assert_eq!(exec("exec --json a ''").argv, ["a", ""]);
}

#[test]
fn arguments_of_commands_are_bytes() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"\xff\n ".to_vec());
    let words = vec!["isconf".into(), "exec".into(), "echo".into(), odd.clone()];
    match parse(words).unwrap().command {
        Command::Exec(exec) => assert_eq!(exec.argv[1], odd),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_are_refused_where_there_are_none() {
    for line in ["show 1 --diff", "snap --diff /etc", "undo --diff"] {
        assert!(refused(line).contains("cannot show the lines that changed"));
    }
}

#[test]
fn verbs_without_their_arguments_are_refused() {
    assert!(refused("exec").contains("missing exec command"));
    assert!(refused("exec --noop").contains("missing exec command"));
    assert!(refused("exec ''").contains("empty"));
    assert!(refused("snap").contains("missing snapshot pathname"));
    refused("snap ''");
    assert!(refused("exec --env A=b ls").contains("A=b"));
    for line in [
        "fork",
        "migrate",
        "init",
        "show",
        "man",
        "completions",
        "bundle",
        "keys",
    ] {
        refused(line);
    }
    for line in [
        "fork a/b",
        "migrate ..",
        "init a/b",
        "init ab c/d",
        "fork a b",
    ] {
        refused(line);
    }
}

#[test]
fn reports_are_shown_in_one_way() {
    let show = |line: &str| match command(line) {
        Command::Up(command) => command.show,
        other => panic!("{other:?}"),
    };
    assert_eq!(show("up"), PLAIN);
    assert_eq!(show("up --summary").form, ReportForm::Summary);
    assert_eq!(show("up --json --no-diff").form, ReportForm::Json);
    assert_eq!(show("up --all --diff").form, ReportForm::AllPaths);
    assert_eq!(show("up --diff").diffs, Diffs::Always);
    for line in [
        "up --json --summary",
        "up --diff --no-diff",
        "up --summary --diff",
    ] {
        refused(line);
    }
}

#[test]
fn try_does_one_thing() {
    let run = |line: &str| match command(line) {
        Command::Try(what) => what,
        other => panic!("{other:?}"),
    };
    let kept = TryCommand::Run {
        argv: vec!["make".into(), "--list".into()],
        network: Some(Network::None),
        keep: Some(scratch_name("n")),
        show: PLAIN,
    };
    assert_eq!(run("try --network none --keep n make --list"), kept);
    assert!(matches!(
        run("try --shell"),
        TryCommand::Shell { keep: None, .. }
    ));
    assert_eq!(run("try --list --json"), TryCommand::List(Format::Json));
    assert_eq!(run("try --drop n"), TryCommand::Drop(scratch_name("n")));
    let commit = TryCommand::Commit {
        name: scratch_name("n"),
        failed: FailedCommand::Allow,
        journal: JournalPolicy::Required,
        show: PLAIN,
    };
    assert_eq!(run("try --commit n --even-failed"), commit);
    for line in [
        "try",
        "try --list ls",
        "try --list --drop n",
        "try --keep n --list",
        "try --shell ls",
        "try --unjournaled ls",
        "try --drop a/b",
        "try --keep .x ls",
        "try --shell --list",
        "try --even-failed --drop n",
    ] {
        refused(line);
    }
}

#[test]
fn an_entry_is_named_by_number_or_id() {
    let entry = |line: &str| match command(line) {
        Command::Show { entry, .. } => entry,
        other => panic!("{other:?}"),
    };
    assert_eq!(entry("show 12"), EntryName::Seq(12));
    assert_eq!(
        entry("show 12345678"),
        EntryName::IdStart("12345678".to_owned())
    );
    for bad in ["show 0", "show abc", "show ABCDEF12", "show ''", "show +1"] {
        refused(bad);
    }
}

#[test]
fn help_of_every_verb_has_an_example_that_can_be_typed() {
    fn examine(verbs: &clap::Command) {
        for verb in verbs.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let help = verb.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{name} has no example"));
            let mut lines = help.lines();
            assert!(lines.next().unwrap().starts_with("Example"), "{name}");
            for line in lines {
                // What follows two blanks is said about it, what follows `>` is the shell's.
                let typed = line.trim().split("  ").next().unwrap();
                let typed = typed.split(" > ").next().unwrap();
                let typed = typed
                    .trim_start_matches("eval \"$(")
                    .trim_end_matches(")\"");
                command(typed.strip_prefix("isconf ").unwrap());
            }
            examine(verb);
        }
    }
    examine(&definition());
}

#[test]
fn the_other_verbs_resolve() {
    assert_eq!(
        command("unlock --discard"),
        Command::Unlock { wip: Wip::Discard }
    );
    assert_eq!(command("ci"), Command::CheckIn(None));
    let strictly = |words| command(words) == Command::CheckIn(Some(Strictness::Refuse));
    assert!(strictly("ci --strict") && !strictly("ci --no-strict"));
    assert_eq!(command("log --json"), Command::Log(Format::Json));
    let export = Command::BundleExport {
        file: "f".into(),
        since: 3,
    };
    assert_eq!(command("bundle export f --since 3"), export);
    assert_eq!(command("keys generate"), Command::KeysGenerate);
    assert_eq!(command("keys rotate"), Command::KeysRotate);
    assert_eq!(command("hosts --json"), Command::Hosts(Format::Json));
    assert_eq!(command("watch"), Command::Watch(Format::Text));
    let recover = |consent| Command::DomainRecover(consent);
    assert_eq!(command("domain recover"), recover(Consent::Missing));
    assert_eq!(command("domain recover --yes"), recover(Consent::Given));
    assert_eq!(command("daemon"), Command::Daemon);
    match command("init example.com") {
        Command::Init { branch, .. } => assert_eq!(branch.as_str(), "generic"),
        other => panic!("{other:?}"),
    }
    for line in [
        "snap -n a b",
        "diff --times --thorough a",
        "undo --noop",
        "start -f",
        "restart",
        "tour",
        "probe --json",
        "env --export",
        "completions zsh",
        "man d",
        "history",
        "reboot",
        "bundle import f --allow-unauthenticated",
        "keys list",
        "status",
    ] {
        command(line);
    }
}
