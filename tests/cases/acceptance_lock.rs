//! Acceptance cases 17 to 26: the lock.

use crate::support::machine::Machine;

#[test]
fn case_17_unlocked_branch_refuses_changes() {
    let Some(host) = Machine::ready("case17") else {
        return;
    };
    host.write("/etc/motd", "hello\n");
    host.isconf(["snap", "/etc/motd"])
        .code(221)
        .says("not locked");
    host.isconf(["exec", "touch", "/ran"]).code(221);
    host.isconf(["reboot"]).code(221);
    host.isconf(["ci"]).code(221);
    assert!(!host.exists("/ran"));
}

#[test]
fn case_18_lock_without_message_is_refused() {
    let Some(host) = Machine::ready("case18") else {
        return;
    };
    host.isconf(["lock"]).code(222).says("message");
    host.isconf(["exec", "true"]).code(221);
}

#[test]
fn case_19_lock_text_is_joined() {
    let Some(host) = Machine::ready("case19") else {
        return;
    };
    host.isconf(["lock", "a", "b", "c"]).code(0);
    host.isconf(["status"])
        .prints("root@case19")
        .prints(": a b c");
    host.isconf(["-m", "x", "lock", "y"]).code(0);
    host.isconf(["status"]).prints(": x y");
}

#[test]
fn case_20_lock_of_another_refuses_and_names_the_holder() {
    let Some(mut host) = Machine::ready("case20") else {
        return;
    };
    host.setenv("LOGNAME", "alice");
    host.isconf(["lock", "mine"]).code(0);
    host.setenv("LOGNAME", "bob");
    host.write("/etc/motd", "hello\n");
    for verb in [["lock", "too"], ["exec", "true"], ["snap", "/etc/motd"]] {
        host.isconf(verb)
            .code(220)
            .says("alice@case20")
            .says("mine")
            .says("lock time");
    }
    host.isconf(["ci"]).code(220).says("alice@case20");
}

#[test]
fn case_21_ci_and_unlock_free_the_lock_for_others() {
    let Some(mut host) = Machine::ready("case21") else {
        return;
    };
    host.setenv("LOGNAME", "alice");
    host.isconf(["lock", "mine"]).code(0);
    host.isconf(["exec", "touch", "/made"]).code(0);
    host.isconf(["ci"]).code(0);
    host.setenv("LOGNAME", "bob");
    host.isconf(["lock", "now me"]).code(0);
    host.isconf(["unlock"]).code(0);
    host.setenv("LOGNAME", "alice");
    host.isconf(["lock", "me again"]).code(0);
}

#[test]
fn case_22_holder_may_lock_again_with_another_message() {
    let Some(host) = Machine::ready("case22") else {
        return;
    };
    host.isconf(["lock", "first"]).code(0);
    host.isconf(["lock", "second"]).code(0);
    host.isconf(["status"])
        .prints("second")
        .does_not_print("first");
}

#[test]
fn case_23_host_that_is_behind_cannot_lock() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        origin.isconf(["exec", "touch", "/made"]).code(0);
    }) else {
        return;
    };
    target
        .isconf(["lock", "mine"])
        .code(1)
        .says("out of date")
        .says("isconf up");
    target.isconf(["up"]).code(0);
    target.isconf(["lock", "mine"]).code(0);
}

#[test]
fn case_24_unlock_names_the_holder_to_notify() {
    let Some(mut host) = Machine::ready("case24") else {
        return;
    };
    host.setenv("LOGNAME", "alice");
    host.isconf(["lock", "mine"]).code(0);
    host.setenv("LOGNAME", "bob");
    host.isconf(["unlock"])
        .code(0)
        .says("alice@case24")
        .says("notify");
    host.isconf(["lock", "free"]).code(0);
    host.isconf(["unlock"]).code(0);
    host.isconf(["unlock"]).code(0);
}

#[test]
fn case_25_ci_with_nothing_to_do_releases_the_lock() {
    let Some(host) = Machine::locked("case25") else {
        return;
    };
    host.isconf(["ci"]).code(0).says("no outstanding updates");
    host.isconf(["exec", "true"]).code(221);
}

#[test]
fn case_26_message_on_another_verb_is_refused_and_nothing_runs() {
    let Some(host) = Machine::locked("case26") else {
        return;
    };
    host.isconf(["-m", "x", "exec", "touch", "/ran"])
        .code(22)
        .says("-m");
    assert!(!host.exists("/ran"));
}

/// Alice made a change and went away; bob broke her lock.
fn abandoned(name: &str) -> Option<Machine> {
    let mut host = Machine::ready(name)?;
    host.setenv("LOGNAME", "alice");
    host.isconf(["lock", "hers"]).code(0);
    host.isconf(["exec", "touch", "/srv/hers"]).code(0);
    host.setenv("LOGNAME", "bob");
    host.isconf(["undo"]).code(220);
    host.isconf(["unlock", "--discard"]).code(220);
    host.isconf(["unlock"])
        .code(0)
        .says("notify alice@")
        .says("changes of alice@")
        .says("isconf lock --take-over");
    Some(host)
}

#[test]
fn drafts_of_another_are_not_gone_on_with_by_surprise() {
    let Some(mut host) = abandoned("left") else {
        return;
    };
    host.isconf(["lock", "his"])
        .code(1)
        .says("changes of alice@left, made here since ")
        .says("--take-over")
        .says("isconf unlock --discard");
    host.isconf(["ci"]).code(221).says("not lost: 1 change");
    host.setenv("LOGNAME", "alice");
    host.isconf(["ci"])
        .code(221)
        .says("not lost: 1 change made here under an earlier lock")
        .says("Locking again goes on with them");
    host.isconf(["lock", "hers again"])
        .code(0)
        .says("still here: 1 change");
    host.isconf(["ci"]).code(0).does_not_say("is by");
    host.isconf(["log"]).prints("alice@left");
}

#[test]
fn drafts_that_were_taken_over_keep_their_author() {
    let Some(mut host) = abandoned("over") else {
        return;
    };
    host.isconf(["lock", "--take-over", "his"])
        .code(0)
        .says("taken over: changes of alice@over");
    host.isconf(["lock", "his", "still"]).code(0);
    host.isconf(["exec", "touch", "/srv/his"]).code(0);
    host.setenv("LOGNAME", "alice");
    host.isconf(["ci"])
        .code(220)
        .says("bob@over took over the 2 changes");
    host.setenv("LOGNAME", "bob");
    host.isconf(["ci"])
        .code(0)
        .says("changes checked in: 2")
        .says("entry 1 is by alice@over")
        .says("entry 2 is by bob@over");
    let log = host.isconf(["log", "--json"]).code(0).out();
    assert_eq!(log.matches("alice@over").count(), 1, "{log}");
    assert_eq!(log.matches("bob@over").count(), 1, "{log}");
}

#[test]
fn drafts_of_another_can_be_taken_back() {
    let Some(host) = abandoned("back") else {
        return;
    };
    host.isconf(["unlock", "--discard"])
        .code(0)
        .says("notify alice@back");
    assert!(!host.exists("/srv/hers"));
    host.isconf(["lock", "his"]).code(0).does_not_say("here");
    host.isconf(["ci"]).code(0).says("no outstanding updates");
}
