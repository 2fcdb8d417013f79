//! The verbs that need no scratchpad, as processes with a home of their own. They touch nothing but
//! `IS_HOME`, so they need neither root nor a throwaway host.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use isconf::model::BranchName;

use crate::support::PROGRAM;
use crate::support::site::{Site, domain};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn version_and_usage_need_no_configuration() {
    let site = Site::bare();
    site.isconf(["-V"])
        .code(0)
        .prints(env!("CARGO_PKG_VERSION"));
    site.isconf::<&str, 0>([]).code(22).says("missing verb");
    site.isconf(["frobnicate"]).code(22).says("unknown verb");
    site.isconf(["exec"])
        .code(22)
        .says("missing exec command: Invalid argument");
    site.isconf(["-c", "nowhere", "env"])
        .code(2)
        .says("nowhere: No such file or directory\n");
}

#[test]
fn without_a_domain_verbs_name_the_file_and_make_nothing() {
    let site = Site::bare();
    for words in [
        ["lock", "x"],
        ["keys", "list"],
        ["-q", "up"],
        ["-q", "stop"],
    ] {
        site.isconf(words)
            .code(1)
            .says("is/conf/domain is missing")
            .says("isconf init DOMAIN");
    }
    assert!(!site.path().exists());
    site.isconf(["env"]).code(0).prints("IS_HOME = ");
    site.isconf(["completions", "bash"])
        .code(0)
        .prints("isconf");
    assert!(!site.path().exists());
}

#[test]
fn init_makes_a_private_home_once_and_never_changes_its_domain() {
    let site = Site::bare();
    site.isconf(["init", "example.com", "web"])
        .code(0)
        .says("isconf keys generate");
    assert_eq!(mode(&site.path()), 0o700);
    assert_eq!(mode(&site.path().join("conf/domain")), 0o600);
    site.isconf(["init", "example.com"])
        .code(0)
        .says("already in domain example.com, on web branch");
    site.isconf(["init", "example.com", "web"]).code(0);
    site.isconf(["init", "example.com", "db"])
        .code(1)
        .says("isconf migrate db");
    site.isconf(["init", "other.com"])
        .code(1)
        .says("cannot join other.com");
    site.isconf(["init", "a/b"]).code(22);
    site.isconf(["status"])
        .code(0)
        .prints("h1 is on web branch");
}

#[test]
fn lock_demands_a_message_and_unlock_names_whom_to_notify() {
    let mut site = Site::member();
    site.isconf(["lock"])
        .code(222)
        .says("did not lock generic: changelog/lock message (-m) required\n");
    site.isconf(["-m", "x", "lock", "a", "b"])
        .code(0)
        .says("h1 is on generic branch")
        .says("generic locked");
    site.isconf(["status"]).prints("root@h1: x a b (since ");
    site.isconf(["lock", "again"]).code(0);
    site.user = "bob";
    site.isconf(["lock", "mine"])
        .code(220)
        .says("generic is locked by: root@h1: again (lock time ");
    site.isconf(["unlock"])
        .code(0)
        .says("removing lock on generic set by root@h1")
        .says("broke generic lock -- please notify root@h1");
    site.isconf(["unlock"]).code(0);
    site.isconf(["lock", "mine"]).code(0);
}

#[test]
fn host_that_is_behind_shows_it_and_cannot_lock() {
    let site = Site::member();
    let id = site.with_pending();
    site.isconf(["lock", "x"])
        .code(1)
        .says("local node is out of date -- try 'isconf up' first");
    site.isconf(["status"])
        .code(0)
        .prints("pending   2 entries");
    let status: serde_json::Value =
        serde_json::from_str(&site.isconf(["status", "--json"]).code(0).out).unwrap();
    assert_eq!(
        (&status["pending"], &status["journal"]["seq"]),
        (&2.into(), &2.into())
    );
    site.isconf(["log"])
        .code(0)
        .prints("pending")
        .prints("mkdir two");
    site.isconf(["show", "1"])
        .code(0)
        .prints("mkdir one")
        .prints("+ /srv/made");
    site.isconf(["show", "1", "--json"])
        .code(0)
        .prints("\"changes\":[{\"path\":");
    site.isconf(["show", &id[..8]]).code(0).prints(&id);
    site.isconf(["show", "3"]).code(1).says("it has 2");
    site.isconf(["show", "00000000"]).code(1).says("isconf log");
    site.isconf(["history"]).code(0);
}

#[test]
fn work_that_is_not_checked_in_is_listed_and_survives_unlock() {
    let site = Site::member();
    site.isconf(["lock", "x"]).code(0);
    site.with_wip();
    let lines = site.isconf(["log", "--json"]).code(0).out;
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "wip");
    site.isconf(["status"]).prints("wip       1 entry");
    site.isconf(["show", "09090909"])
        .code(0)
        .prints("mkdir nine");
    site.isconf(["unlock"])
        .code(0)
        .says("not checked in, and still here");
    site.isconf(["log"]).code(0).prints("mkdir nine");
}

#[test]
fn arguments_that_cannot_be_meant_are_named_with_the_remedy() {
    let site = Site::member();
    fs::write(site.directory.path().join("file"), "x".repeat(100)).unwrap();
    let table: [(&[&str], i32, &str); 9] = [
        (&["man", "file"], 22, "file is not a directory"),
        (&["man", "none"], 2, "none: No such file or directory"),
        (&["bundle"], 22, "missing after the verb"),
        (&["keys"], 22, "missing after the verb"),
        (&["bundle", "import", "."], 22, ". is a directory"),
        (&["bundle", "import", "file"], 5, "not a bundle"),
        (&["exec"], 22, "missing exec command"),
        (&["show", "12345678z"], 22, "not an entry"),
        (&["-c", ".", "status"], 5, "cannot open .: Is a directory"),
    ];
    for (words, code, text) in table {
        let output = site.command().args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(text), "{words:?}: {said}");
        assert!(!said.contains("os error"), "{said}");
    }
    site.with_pending();
    for (file, code, text) in [(".", 22, "is a directory"), ("none/b", 2, "none: No such")] {
        site.isconf(["bundle", "export", file])
            .code(code)
            .says(text);
    }
}

#[test]
fn history_says_what_was_made_and_is_shown_without_a_journal_that_can_be_read() {
    let site = Site::member();
    site.isconf(["lock", "because", "of", "x"]).code(0);
    fs::write(site.directory.path().join("file"), "x").unwrap();
    site.isconf(["snap", "file"]).code(0);
    let words = "by root@h1: because of x\n  snap ";
    site.isconf(["history"]).code(0).prints(words);
    site.isconf(["ci"]).code(0);
    site.isconf(["history"])
        .code(0)
        .prints("made wip on generic, now entry 1 ")
        .prints(words);
    let journal = site.home().journal(&domain(), &BranchName::generic());
    fs::write(journal, "damaged").unwrap();
    site.isconf(["history"])
        .code(0)
        .says("cannot be shown: ")
        .prints("made wip on generic, ");
}

#[test]
fn what_an_interrupted_snap_was_storing_is_removed() {
    let site = Site::member();
    let store = site.home().blobs(&domain()).join("tmp");
    fs::create_dir_all(&store).unwrap();
    // No process has a number this large (PID_MAX_LIMIT is 2^22).
    fs::write(store.join("99999999.0"), b"half").unwrap();
    site.isconf(["lock", "x"]).code(0).says("removed 4 bytes");
    assert_eq!(fs::read_dir(store).unwrap().count(), 0);
}

#[test]
fn status_names_the_branch_once() {
    let done = Site::member().isconf(["status"]).code(0);
    let said = format!("{}{}", done.out, done.err);
    assert_eq!(said.matches("on generic branch").count(), 1, "{said}");
}

#[test]
fn variable_asked_for_by_name_must_be_set() {
    let site = Site::member();
    site.isconf(["exec", "--env", "MISSING", "true"])
        .code(22)
        .says("--env MISSING: the variable is not set");
    site.isconf(["exec", "--env", "A=1", "true"])
        .code(22)
        .says("not \"A=1\"");
}

#[test]
fn working_directory_that_was_removed_is_named_as_such() {
    let site = Site::member();
    for verb in [["snap", "x"], ["diff", "x"]] {
        let gone = site.directory.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let mut words = vec!["cd gone && rmdir ../gone && exec \"$0\" \"$@\"", PROGRAM];
        words.extend(verb);
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").args(words).env("IS_HOME", site.path());
        let output = shell.current_dir(site.directory.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("the working directory was removed"), "{said}");
        assert!(!said.contains("os error"), "{said}");
    }
}

#[test]
fn readers_work_while_another_isconf_does_and_changers_are_told_who() {
    let site = Site::member();
    let _up = site.host_lock();
    for verb in ["status", "log", "history"] {
        site.isconf([verb]).code(0);
    }
    site.isconf(["lock", "x"])
        .code(75)
        .says("waiting for isconf up")
        .says("another isconf is at work on this host: isconf up (process ");
}

#[test]
fn keys_are_made_and_never_shown() {
    let site = Site::member();
    site.isconf(["keys", "list"])
        .code(0)
        .says("there are no keys");
    site.isconf(["keys", "generate"]).code(0);
    let second = site.isconf(["keys", "generate"]).code(0);
    let file = site.path().join("conf/hmac_keys");
    assert_eq!(mode(&file), 0o600);
    let keys = fs::read_to_string(file).unwrap();
    let list = site.isconf(["keys", "list"]).code(0);
    assert_eq!((keys.lines().count(), list.out.lines().count()), (2, 2));
    for key in keys.lines() {
        let shown = [&second.out, &second.err, &list.out, &list.err];
        assert!(shown.iter().all(|text| !text.contains(key)));
    }
}

#[test]
fn a_bundle_carries_entries_to_a_host_with_the_same_key() {
    let (from, to) = (Site::member(), Site::member());
    from.with_pending();
    let keys = "conf/hmac_keys";
    fs::write(from.path().join(keys), "a key\n").unwrap();
    let file = from.directory.path().join("bundle");
    let words = |verb: &'static str| [OsStr::new("bundle"), OsStr::new(verb), file.as_os_str()];
    from.isconf(words("export"))
        .code(0)
        .says("entries 1 to 2, with 1 blob ");
    assert_eq!(mode(&file), 0o600);
    to.isconf(words("import"))
        .code(1)
        .says("--allow-unauthenticated");
    to.isconf(["log"]).code(0);
    fs::write(to.path().join(keys), "other\na key\n").unwrap();
    to.isconf(words("import"))
        .code(0)
        .says("a key of the domain vouches")
        .says("generic: took in entries 1 to 2");
    to.isconf(words("import")).code(0).says("no new entries");
    to.isconf(["status"]).prints("pending   2 entries");
    to.isconf(["show", "1"]).code(0).prints("+ /srv/made");
    fs::write(&file, "garbage").unwrap();
    to.isconf(words("import")).code(5).says("bundle, byte 0");
    to.isconf(["bundle", "import", "nowhere"]).code(2);
    let left: Vec<_> = fs::read_dir(from.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the home and the bundle: {left:?}");
}

#[test]
fn damage_is_named_by_line_and_changes_nothing() {
    let site = Site::member();
    site.with_pending();
    let journal = site.home().journal(&domain(), &BranchName::generic());
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replace("two", "tWo")).unwrap();
    for words in [
        ["lock", "x"],
        ["-q", "log"],
        ["-q", "status"],
        ["show", "1"],
    ] {
        site.isconf(words)
            .code(5)
            .says("generic/journal, line ")
            .says("isconf bundle import");
    }
}

#[test]
fn the_daemon_starts_once_answers_and_stops() {
    let site = Site::member();
    site.isconf(["stop"]).code(1).says("no pid file found");
    site.isconf(["start"]).code(0).says("started");
    site.isconf(["start"]).code(0).says("already running");
    site.isconf(["status"])
        .code(0)
        .prints("daemon    running, process ");
    site.isconf(["restart"]).code(0);
    site.isconf(["stop"]).code(0).says("stopped, was process");
    site.isconf(["stop"]).code(0).says("already stopped");
    site.isconf(["status"]).code(0).prints("not running");
}

#[test]
fn settings_are_shown_with_their_origins_in_every_form() {
    let site = Site::member();
    let main_cf = site.directory.path().join("main.cf");
    fs::write(&main_cf, "DEFAULT:\n\tIS_PORT = 4711\n\tGATEWAY = it's\n").unwrap();
    let env = |form: &'static str| {
        let flag = [OsStr::new("-c"), main_cf.as_os_str()];
        site.isconf([flag[0], flag[1], OsStr::new("env"), OsStr::new(form)])
            .code(0)
            .out
    };
    let export = env("--export");
    let script = format!("{export}\nprintf '%s %s' \"$IS_PORT\" \"$GATEWAY\"");
    let shell = Command::new("/bin/sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(shell.stdout).unwrap(), "4711 it's");
    let json: serde_json::Value = serde_json::from_str(&env("--json")).unwrap();
    let settings = json["settings"].as_array().unwrap();
    let port = settings.iter().find(|s| s["name"] == "IS_PORT").unwrap();
    assert!(
        port["origin"]
            .as_str()
            .unwrap()
            .ends_with("main.cf:2 (DEFAULT)")
    );
    site.isconf(["-D", "status"])
        .code(0)
        .says("isconf: debug: IS_HOME = ");
    fs::write(&main_cf, "web: NOWHERE\n").unwrap();
    let words = [OsStr::new("-c"), main_cf.as_os_str(), OsStr::new("env")];
    site.isconf(words).code(22).says("main.cf:1: ");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let site = Site::member();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = site.command().arg("env").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn man_pages_are_written_where_asked() {
    let site = Site::bare();
    site.isconf(["man", "nowhere"]).code(2);
    fs::create_dir(site.directory.path().join("man")).unwrap();
    site.isconf(["man", "man"]).code(0).says("pages written");
    assert!(site.directory.path().join("man/isconf-up.1").exists());
}
