//! Previews: `up --noop`, `exec --noop` and `snap --noop` show what would happen and touch nothing.

use crate::support::machine::Machine;

/// A target with pending entries that build on each other.
fn with_pending(link: &str) -> Option<(Machine, Machine)> {
    let (origin, target) = Machine::pair()?;
    origin.isconf(["lock", "several steps"]).code(0);
    origin.sh(&format!("mkdir /srv/src && echo 'content of a' >/srv/src/a && echo b >/srv/src/b && {link} /srv/src/a /srv/src/link")).code(0);
    origin.isconf(["snap", "/srv/src"]).code(0);
    origin
        .isconf([
            "exec",
            "sh",
            "-c",
            "echo more >>/srv/src/link; mv /srv/src /srv/moved",
        ])
        .code(0);
    origin
        .isconf([
            "exec",
            "sh",
            "-c",
            "cat /srv/moved/a >/srv/copy; rm /srv/moved/b; chmod 600 /srv/moved/a",
        ])
        .code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    Some((origin, target))
}

#[test]
fn noop_shows_each_entry_on_top_of_the_ones_before_and_touches_nothing() {
    let Some((origin, target)) = with_pending("ln") else {
        return;
    };
    target.isconf(["up", "--noop"]).code(0);
    let before = target.manifest_of_others();
    target
        .isconf(["up", "--noop"])
        .code(0)
        .prints("/srv/copy")
        .prints("/srv/moved");
    target.is_still(&before);
    target.isconf(["up"]).code(0);
    let look = "cat /srv/copy; stat -c '%a %h' /srv/moved/a; ls /srv/moved; cat /srv/moved/link";
    assert_eq!(target.sh(look).code(0).out(), origin.sh(look).code(0).out());
}

#[test]
fn noop_predicts_the_digests_of_up() {
    predicts_the_digests("cp");
}

#[test]
fn noop_predicts_the_digests_of_up_by_whatever_name_a_file_was_written() {
    predicts_the_digests("ln");
}

fn predicts_the_digests(link: &str) {
    let Some((_origin, target)) = with_pending(link) else {
        return;
    };
    let digests = |json: String| -> Vec<String> {
        let values = json.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("a line of the report is JSON")
        });
        let reports = values.filter(|value| value["kind"] == "report");
        reports
            .map(|report| {
                report["digests"]["normal"]
                    .as_str()
                    .expect("digest")
                    .to_owned()
            })
            .collect()
    };
    let predicted = digests(target.isconf(["up", "--noop", "--json"]).code(0).out());
    let done = digests(target.isconf(["up", "--json"]).code(0).out());
    assert_eq!(predicted.len(), 3);
    assert_eq!(predicted, done);
}

#[test]
fn noop_of_a_failing_entry_fails_and_names_it() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.sh("touch /srv/here").code(0);
    origin.isconf(["exec", "touch", "/srv/one"]).code(0);
    origin.isconf(["exec", "cat", "/srv/here"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target
        .isconf(["up", "--noop"])
        .code(1)
        .prints("/srv/one")
        .prints("cat /srv/here");
}

#[test]
fn summary_is_a_line_an_entry() {
    let Some((_origin, target)) = with_pending("cp") else {
        return;
    };
    let out = target.isconf(["up", "--noop", "--summary"]).code(0).out();
    assert!(out.lines().count() <= 5, "{out}");
}

#[test]
fn exec_and_snap_noop_record_nothing() {
    let Some(host) = Machine::locked("noop") else {
        return;
    };
    host.write("/srv/file", "x\n");
    host.isconf(["exec", "--noop", "true"]).code(0);
    let before = host.manifest_of_others();
    host.isconf(["exec", "--noop", "sh", "-c", "echo hi >/srv/new"])
        .code(0)
        .prints("/srv/new");
    host.isconf(["snap", "--noop", "/srv/file"])
        .code(0)
        .prints("/srv/file");
    host.is_still(&before);
    host.isconf(["ci"]).code(0).says("no outstanding updates");
}

#[test]
fn text_diffs_are_shown_on_demand() {
    let Some(host) = Machine::locked("diffs") else {
        return;
    };
    host.write("/srv/file", "one\ntwo\nthree\n");
    let edit = "sed -i s/two/TWO/ /srv/file";
    host.isconf(["exec", "--noop", "--diff", "sh", "-c", edit])
        .prints("-two\n")
        .prints("+TWO\n");
    host.isconf(["exec", "--noop", "--no-diff", "sh", "-c", edit])
        .does_not_print("+TWO");
}
