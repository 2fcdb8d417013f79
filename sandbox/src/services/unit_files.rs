//! `systemctl cat` and `systemctl edit` as a few lines of sh(1): the real ones ask the live manager
//! where the files are, which does not know those of the scratchpad. Pure.

use std::fmt::Write;

use super::answer::{Answer, quoted};
use super::systemctl::Edit;
use super::units::PATHS;

/// Functions of sh(1): `found UNIT` prints the path of its file; `parts UNIT` those of what extends it.
fn functions() -> String {
    let paths: Vec<String> = PATHS.iter().map(|path| format!("/{path}")).collect();
    format!(
        r#"paths='{}'
found() {{
    for name in "$1" "${{1%%@*}}@.${{1##*.}}"; do
        for path in $paths; do
            if [ -e "$path/$name" ]; then echo "$path/$name"; return; fi
        done
    done
    return 1
}}
parts() {{
    for path in $paths; do
        for part in "$path/$1.d"/*.conf; do
            if [ -e "$part" ]; then echo "$part"; fi
        done
    done
}}
"#,
        paths.join(" ")
    )
}

/// Prints unit files, each with what extends it.
pub(super) fn print(units: &[String]) -> Answer {
    let mut lines = functions();
    lines.push_str("status=0\n");
    for unit in units {
        let unit = quoted(unit);
        // Writing to a String cannot fail.
        let _ = write!(
            lines,
            r#"if file=$(found {unit}); then
    for file in "$file" $(parts {unit}); do printf '# %s\n' "$file"; cat "$file"; echo; done
else
    echo "No files found for "{unit}. >&2; status=1
fi
"#
        );
    }
    lines.push_str("exit $status\n");
    Answer::doing(&lines)
}

/// Edits unit files with the caller's editor, or takes them from standard input.
pub(super) fn edit(edit: &Edit) -> Answer {
    let mut lines = functions();
    if !edit.from_stdin {
        lines.push_str(
            "if ! [ -t 0 ]; then echo 'Cannot edit units if not on a tty.' >&2; exit 1; fi\n",
        );
    }
    let directory = match edit.is_runtime {
        true => "/run/systemd/system",
        false => "/etc/systemd/system",
    };
    for unit in &edit.units {
        let target = match edit.is_full {
            true => format!("{directory}/{unit}"),
            false => format!("{directory}/{unit}.d/{}", edit.drop_in),
        };
        let (unit, target) = (quoted(unit), quoted(&target));
        let write = match edit.from_stdin {
            true => "cat >\"$new\"",
            false => "${SYSTEMD_EDITOR:-${EDITOR:-${VISUAL:-editor}}} \"$new\"",
        };
        let _ = write!(
            lines,
            r#"file=$(found {unit}) || {{ echo "No files found for "{unit}. >&2; exit 1; }}
target={target}
mkdir -p "${{target%/*}}" || exit
new=$target.new
if [ -e "$target" ]; then cp "$target" "$new"; elif {is_full}; then cp "$file" "$new"; else : >"$new"; fi || exit
{write} || {{ rm -f "$new"; exit 1; }}
if [ -s "$new" ]; then mv "$new" "$target" || exit
else rm -f "$new"; echo "Editing $target canceled: temporary file is empty." >&2; exit 1; fi
"#,
            is_full = edit.is_full,
        );
    }
    Answer::doing(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_of_sh() {
        let edit = |from_stdin, is_full| {
            edit(&Edit {
                units: vec!["it's.service".to_owned(), "a@1.service".to_owned()],
                is_full,
                drop_in: "override.conf".to_owned(),
                from_stdin,
                is_runtime: false,
            })
        };
        let units = ["a.service".to_owned(), "b@c.timer".to_owned()];
        for answer in [print(&units), edit(true, false), edit(false, true)] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("lines");
            std::fs::write(&path, answer.as_bytes()).unwrap();
            let checked = std::process::Command::new("sh")
                .arg("-n")
                .arg(&path)
                .output();
            let checked = checked.unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}
