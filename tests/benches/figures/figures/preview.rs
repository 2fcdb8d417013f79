//! The preview of a change of 100 tasks, against `ansible-playbook --check` of the same tasks: how
//! long it takes, and how many tasks it foretells rightly. Not for replay.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::series::Series;
use crate::table::{Figure, Target};

/// Groups of tasks; each has one of every kind.
const GROUPS: u32 = 10;

/// Where the programs of Ansible are in the host.
const ANSIBLE: &str = "/opt/ansible";

/// A task in both languages.
struct Task {
    /// What it does, for the note.
    name: &'static str,
    /// The command of an entry.
    shell: String,
    /// The module and its arguments.
    module: &'static str,
    arguments: Value,
}

/// What an administrator does when a program is set up: some tasks build on those before them.
fn tasks(group: u32) -> Vec<Task> {
    let top = format!("/etc/app-{group}");
    let shell_task = |line: String| ("ansible.builtin.shell", json!({ "cmd": line }));
    let unpack = format!("cd {top} && tar xf data.tar");
    let generate = format!("sort -r {top}/conf >{top}/sorted");
    let (shell, unpack_arguments) = shell_task(unpack.clone());
    let (_, generate_arguments) = shell_task(generate.clone());
    let pack = format!(
        "cd {top} && mkdir data && echo {group} >data/one && tar --mtime=@0 -cf data.tar data && rm -r data"
    );
    let (_, pack_arguments) = shell_task(pack.clone());
    let list = [
        (
            "a directory",
            format!("mkdir {top}"),
            "ansible.builtin.file",
            json!({"path": top, "state": "directory"}),
        ),
        (
            "a file in it",
            format!("printf 'b = 1\na = 2\n' >{top}/conf"),
            "ansible.builtin.copy",
            json!({"dest": format!("{top}/conf"), "content": "b = 1\na = 2\n"}),
        ),
        (
            "a line more in that file",
            format!("echo 'c = 3' >>{top}/conf"),
            "ansible.builtin.lineinfile",
            json!({"path": format!("{top}/conf"), "line": "c = 3"}),
        ),
        (
            "another value in that file",
            format!("sed -i 's/^a = .*/a = 5/' {top}/conf"),
            "ansible.builtin.replace",
            json!({"path": format!("{top}/conf"), "regexp": "^a = .*", "replace": "a = 5"}),
        ),
        (
            "the mode of that file",
            format!("chmod 600 {top}/conf"),
            "ansible.builtin.file",
            json!({"path": format!("{top}/conf"), "mode": "0600"}),
        ),
        (
            "a link to it",
            format!("ln -s {top}/conf /etc/app-{group}.conf"),
            "ansible.builtin.file",
            json!({"src": format!("{top}/conf"), "dest": format!("/etc/app-{group}.conf"), "state": "link"}),
        ),
        ("a command that packs files", pack, shell, pack_arguments),
        (
            "a command that unpacks them",
            unpack,
            shell,
            unpack_arguments,
        ),
        (
            "a command that makes a file from another",
            generate,
            shell,
            generate_arguments,
        ),
        (
            "a file that goes",
            format!("rm {top}/data.tar"),
            "ansible.builtin.file",
            json!({"path": format!("{top}/data.tar"), "state": "absent"}),
        ),
    ];
    list.into_iter()
        .map(|(name, shell, module, arguments)| Task {
            name,
            shell,
            module,
            arguments,
        })
        .collect()
}

/// Measures it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let tasks: Vec<Task> = (0..GROUPS).flat_map(tasks).collect();
    let (mut preview, foretold) = by_isconf(&tasks)?;
    let baseline = match install() {
        Ok(programs) => Some(by_ansible(&tasks, &programs)?),
        Err(error) => {
            eprintln!("  no Ansible here, not compared with it: {error}");
            None
        }
    };
    let count = tasks.len();
    if let Some((_, by_ansible)) = &baseline {
        page.notes.push(format!(
            "Of the {count} tasks the preview of isconf foretold {foretold} rightly (the change set that was then committed, by \
             digest), `ansible-playbook --check` {} (that the task changes something). It did not: {}.",
            count - by_ansible.len(),
            kinds(by_ansible)
        ));
    }
    page.figures.add(Figure {
        name: format!("isconf up --noop of {count} tasks"),
        unit: "s",
        subject: std::mem::take(&mut preview).scaled(1e-3),
        baseline: baseline
            .map(|(took, _)| ("ansible-playbook --check".to_owned(), took.scaled(1e-3))),
        target: Target::Shown,
    });
    Ok(())
}

/// The kinds in a list of tasks, with how often each is in it.
fn kinds(names: &[&'static str]) -> String {
    let mut kinds: Vec<&str> = names.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let counted = kinds.iter().map(|kind| {
        let count = names.iter().filter(|name| name == &kind).count();
        format!("{kind} ({count})")
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// Milliseconds of the previews, and how many entries were foretold rightly.
fn by_isconf(tasks: &[Task]) -> Result<(Series, usize), Error> {
    let origin = BenchHost::locked("origin", Medium::Disk)?;
    for task in tasks {
        let done = origin
            .host()
            .command(["isconf", "-q", "exec", "sh", "-c", &task.shell]);
        done.ok()?;
    }
    origin.sh("isconf ci && isconf bundle export /root/bundle")?;
    let target = BenchHost::locked("target", Medium::Disk)?;
    target.sh("isconf unlock")?;
    target
        .host()
        .write("/root/bundle", origin.host().read("/root/bundle")?)?;
    target.sh("isconf bundle import /root/bundle")?;
    let mut took = Series::default();
    for _ in 0..5 {
        let [milliseconds, _memory] = target.drive(&["peak", "isconf", "up", "--noop"])?;
        took.push(milliseconds.median());
    }
    let foretold = digests(&target.sh("isconf up --noop --json")?)?;
    let committed = digests(&target.sh("isconf up --json")?)?;
    let right = foretold
        .iter()
        .zip(&committed)
        .filter(|(one, other)| one == other)
        .count();
    if committed.len() != tasks.len() {
        return Err("not all entries were committed".into());
    }
    Ok((took, right))
}

/// The digests of all change sets in a run's reports.
fn digests(lines: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for line in lines.lines() {
        let report: Value = serde_json::from_str(line)?;
        if let Some(digest) = report.pointer("/digests/normal").and_then(Value::as_str) {
            found.push(digest.to_owned());
        }
    }
    Ok(found)
}

/// Gets Ansible from PyPI, once, for the Python that is in every host.
fn install() -> Result<PathBuf, Error> {
    let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ansible-core-2.17");
    if !programs.is_dir() {
        let aside = programs.with_extension("new");
        let done = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&aside)
            .args(["--python-version", "3.11", "--only-binary=:all:"])
            .arg("ansible-core==2.17.*")
            .status()?;
        if !done.success() {
            return Err("pip cannot install ansible-core".into());
        }
        std::fs::rename(&aside, &programs)?;
    }
    Ok(programs)
}

/// Milliseconds of the checks, and the names of the tasks that the check did not foretell.
fn by_ansible(tasks: &[Task], programs: &Path) -> Result<(Series, Vec<&'static str>), Error> {
    let host = BenchHost::bare("ansible", Medium::Disk)?;
    let packed = Command::new("tar")
        .arg("-C")
        .arg(programs)
        .args(["-c", "."])
        .output()?;
    host.host().write("/root/ansible.tar", packed.stdout)?;
    host.sh(&format!(
        "mkdir {ANSIBLE} && tar -C {ANSIBLE} -xf /root/ansible.tar"
    ))?;
    let play: Vec<Value> = tasks
        .iter()
        .map(|task| json!({"name": task.name, task.module: task.arguments, "ignore_errors": true}))
        .collect();
    let play = json!([{"hosts": "localhost", "connection": "local", "gather_facts": false, "tasks": play}]);
    host.host().write("/root/play.yml", play.to_string())?;
    let run = |flags: &str| {
        format!(
            "cd /root && LC_ALL=C.UTF-8 PYTHONPATH={ANSIBLE} ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=false \
             /usr/bin/python3 -m ansible playbook {flags} -i localhost, -e ansible_python_interpreter=/usr/bin/python3 play.yml"
        )
    };
    let mut took = Series::default();
    for _ in 0..3 {
        let [milliseconds, _memory] = host.drive(&["peak", "sh", "-c", &run("--check")])?;
        took.push(milliseconds.median());
    }
    let foretold = changed(&host.sh(&run("--check"))?, tasks.len())?;
    let done = changed(&host.sh(&run(""))?, tasks.len())?;
    let wrong = tasks.iter().zip(foretold.iter().zip(done));
    let wrong = wrong
        .filter(|(_, (foretold, done))| *foretold != done)
        .map(|(task, _)| task.name);
    Ok((took, wrong.collect()))
}

/// Which tasks changed something, in what a run prints.
fn changed(report: &str, count: usize) -> Result<Vec<bool>, Error> {
    let tasks = report.split("\nTASK [").skip(1);
    let changed: Vec<bool> = tasks
        .map(|task| task.lines().any(|line| line.starts_with("changed: ")))
        .collect();
    if changed.len() != count {
        return Err(format!("{} tasks in the report of Ansible", changed.len()).into());
    }
    Ok(changed)
}
