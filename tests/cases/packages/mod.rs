//! Real packages: what a command does to a Debian root natively, it does through the scratchpad and
//! a commit as well, and undo takes it back to the bit. Not for what single system calls do: that
//! is `commit_commands`. Upholds: no difference but those of [`sameness::ALLOWED`], which
//! `docs/proof.md` explains.

mod sameness;
mod pair;

pub use pair::root;

use pair::Pair;

/// Users, groups, setuid and setgid programs, capabilities, alternatives, diversions, random keys,
/// PAM, units and timers.
const LOGIN: &[&str] = &[
    "at",
    "cron",
    "iputils-ping",
    "molly-guard",
    "nano",
    "openssh-server",
    "sudo",
];

/// Questions of debconf, spools with owners of their own, triggers of libraries and manuals,
/// certificates, directories of state.
const SERVICES: &[&str] = &[
    "dnsmasq",
    "logrotate",
    "man-db",
    "nginx-light",
    "postfix",
    "redis-server",
    "rsyslog",
];

/// Compiles what it installs.
const PIP: &str = "python3-pip";

/// What is built in the root, and installed by make.
const SOURCES: [&str; 3] = ["hello", "tree", "ed"];

/// Whether this is the long run: every package by itself.
fn long() -> bool {
    std::env::var_os("ISCONF_LONG").is_some()
}

/// Installs the older versions, upgrades, removes, purges, and takes all of it back; in the long run
/// also package by package. `proof` must succeed when they are installed: it shows that the rare
/// things which the packages stand for are there.
fn live_and_die(name: &str, packages: &[&str], proof: &str) {
    let mut transactions = vec![packages];
    if long() {
        transactions.extend(packages.chunks(1));
    }
    for packages in transactions {
        let Some(mut pair) = Pair::start(name) else {
            return;
        };
        let all = packages.join(" ");
        let old: Vec<String> = packages.iter().map(|name| pair.older(name)).collect();
        pair.step(&format!("apt-get -y install {}", old.join(" ")));
        pair.step("apt-get -y upgrade");
        if packages.len() > 1 {
            pair.both(proof);
        }
        pair.step(&format!("apt-get -y remove {all}"));
        pair.step(&format!("apt-get -y --autoremove purge {all}"));
        pair.take_back();
        pair.finish();
    }
}

#[test]
fn packages_for_logins_live_and_die_as_they_do_natively() {
    let proof = "getcap /usr/bin/ping | grep cap_net_raw && test -g /usr/bin/crontab &&
        test -u /usr/bin/sudo && id sshd && dpkg-divert --list | grep molly-guard &&
        update-alternatives --query editor | grep nano && ls /etc/ssh/ssh_host_rsa_key &&
        ls /etc/systemd/system/multi-user.target.wants/cron.service &&
        ! ls -d /usr/share/gone-*";
    live_and_die("login", LOGIN, proof);
}

#[test]
fn packages_of_services_live_and_die_as_they_do_natively() {
    let proof = "id redis && id postfix && test -g /usr/sbin/postdrop && ls /var/spool/postfix &&
        debconf-show postfix | grep mailer && ls /var/cache/man/index.db &&
        ls /etc/nginx/sites-enabled/default && ! ls -d /usr/share/gone-*";
    live_and_die("services", SERVICES, proof);
}

#[test]
fn pip_installs_what_it_does_natively() {
    let Some(mut pair) = Pair::start("pip") else {
        return;
    };
    pair.both(include_str!("project.sh"));
    pair.step(&format!("apt-get -y install {PIP}"));
    let options =
        "--no-index --no-build-isolation --break-system-packages --root-user-action=ignore";
    pair.step(&format!("pip install {options} /srv/project"));
    pair.both("example-greeting | grep -x 'hello from a package'");
    pair.step("pip uninstall -y --break-system-packages example-greeting");
    pair.take_back();
    pair.finish();
}

#[test]
fn make_installs_real_sources_as_it_does_natively() {
    let Some(mut pair) = Pair::start("make") else {
        return;
    };
    for source in SOURCES {
        pair.step(&format!("make -C /usr/src/{source} install"));
    }
    pair.both("hello && tree --version && ed --version");
    pair.take_back();
    pair.finish();
}

#[test]
fn a_content_and_a_time_that_differ_without_leave_are_found() {
    let Some(mut pair) = Pair::start("odd") else {
        return;
    };
    pair.step("head -c 8 /dev/urandom >/etc/content");
    pair.step("touch -d @1$(date +%N | cut -c 1-8) /etc/time");
    let found = pair.found().join("\n");
    for path in ["-/etc/content", "+/etc/content", "-/etc/time", "+/etc/time"] {
        assert!(found.contains(path), "{path} is not in {found}");
    }
}

#[test]
fn every_difference_that_is_allowed_is_explained() {
    let page = crate::support::papers::repository().join("docs/proof.md");
    let page = std::fs::read_to_string(page).unwrap();
    for allowed in sameness::ALLOWED {
        let pattern = format!("`{}`", allowed.pattern);
        assert!(page.contains(&pattern), "docs/proof.md lacks {pattern}");
    }
}
