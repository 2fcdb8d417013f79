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

impl Task {
    fn of(name: &'static str, shell: String, module: &'static str, arguments: Value) -> Self {
        Self {
            name,
            shell,
            module,
            arguments,
        }
    }

    /// A task about one path.
    fn file(name: &'static str, shell: String, arguments: Value) -> Self {
        Self::of(name, shell, "ansible.builtin.file", arguments)
    }

    /// A task that no module knows.
    fn command(name: &'static str, shell: String) -> Self {
        let arguments = json!({ "cmd": shell });
        Self::of(name, shell, "ansible.builtin.shell", arguments)
    }
}

/// What an administrator does when a program is set up: some tasks build on those before them.
fn tasks(group: u32) -> Vec<Task> {
    let top = format!("/etc/app-{group}");
    let path = format!("{top}/conf");
    let link = format!("/etc/app-{group}.conf");
    let archive = format!("{top}/data.tar");
    vec![
        Task::file(
            "a directory",
            format!("mkdir {top}"),
            json!({"path": top, "state": "directory"}),
        ),
        Task::of(
            "a file in it",
            format!("printf 'b = 1\na = 2\n' >{path}"),
            "ansible.builtin.copy",
            json!({"dest": path, "content": "b = 1\na = 2\n"}),
        ),
        Task::of(
            "a line more in that file",
            format!("echo 'c = 3' >>{path}"),
            "ansible.builtin.lineinfile",
            json!({"path": path, "line": "c = 3"}),
        ),
        Task::of(
            "another value in that file",
            format!("sed -i 's/^a = .*/a = 5/' {path}"),
            "ansible.builtin.replace",
            json!({"path": path, "regexp": "^a = .*", "replace": "a = 5"}),
        ),
        Task::file(
            "the mode of that file",
            format!("chmod 600 {path}"),
            json!({"path": path, "mode": "0600"}),
        ),
        Task::file(
            "a link to it",
            format!("ln -s {path} {link}"),
            json!({"src": path, "dest": link, "state": "link"}),
        ),
        Task::command("a command that packs files", packing(&top, group)),
        Task::command(
            "a command that unpacks them",
            format!("cd {top} && tar xf data.tar"),
        ),
        Task::command(
            "a command that makes a file from another",
            format!("sort -r {path} >{top}/sorted"),
        ),
        Task::file(
            "a file that goes",
            format!("rm {archive}"),
            json!({"path": archive, "state": "absent"}),
        ),
    ]
}

/// The same bytes whenever it runs.
fn packing(top: &str, group: u32) -> String {
    format!(
        "cd {top} && mkdir data && echo {group} >data/one && tar --mtime=@0 -cf data.tar data && rm -r data"
    )
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
