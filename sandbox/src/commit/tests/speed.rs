//! Measures; run by hand with `--ignored --nocapture`.

use std::path::Path;
use std::time::Instant;

use super::places;
use super::stage::Stage;
use crate::commit::commit;

const FILES: usize = 10_000;

fn name(i: usize) -> String {
    format!("d{:03}/f{i}", i / 100)
}

fn make(root: &Path) {
    for i in 0..FILES / 100 {
        std::fs::create_dir(root.join(format!("d{i:03}"))).unwrap();
    }
    for i in 0..FILES {
        std::fs::write(root.join(name(i)), vec![b'x'; 2000]).unwrap();
    }
}

/// The same renames without anything else, and one sync.
fn bare(base: &Path, exchange: bool) -> f64 {
    use crate::fs::Dir;
    let (a, b) = (base.join("bare_a"), base.join("bare_b"));
    for dir in [&a, &b] {
        std::fs::create_dir(dir).unwrap();
        if dir == &a || exchange {
            make(dir);
        } else {
            for i in 0..FILES / 100 {
                std::fs::create_dir(dir.join(format!("d{i:03}"))).unwrap();
            }
        }
    }
    let top = Dir::open(&a).unwrap();
    top.sync_filesystem().unwrap();
    let begun = Instant::now();
    for i in 0..FILES / 100 {
        let path = crate::change::RelPath::new(format!("d{i:03}")).unwrap();
        let (from, to) = (
            top.descend(&path).unwrap(),
            Dir::open(&b.join(path.as_path())).unwrap(),
        );
        for j in i * 100..i * 100 + 100 {
            let name = format!("f{j}").into_bytes();
            if exchange {
                from.at(&name).exchange_with(to.at(&name)).unwrap();
            } else {
                from.at(&name).rename_to(to.at(&name)).unwrap();
            }
        }
    }
    top.sync_filesystem().unwrap();
    begun.elapsed().as_secs_f64() * 1e3
}

#[test]
#[ignore = "a measurement"]
fn ten_thousand_files() {
    for (kind, modified) in [("replaced", true), ("new", false)] {
        for place in places() {
            let mut stage = Stage::new(place.path(), |root| {
                if modified {
                    make(root);
                } else {
                    for i in 0..FILES / 100 {
                        std::fs::create_dir(root.join(format!("d{i:03}"))).unwrap();
                    }
                }
            });
            for i in 0..FILES {
                stage.write(&name(i), b"new content", modified);
            }
            let capture = stage.capture();
            crate::fs::Dir::open(place.path())
                .unwrap()
                .sync_filesystem()
                .unwrap();
            let begun = Instant::now();
            commit(&stage.layout, &capture, b"")
                .unwrap()
                .finish()
                .unwrap();
            let took = begun.elapsed().as_secs_f64() * 1e3;
            let bare = bare(place.path(), modified);
            println!(
                "{kind} {}: commit {took:.0} ms, bare renames and sync {bare:.0} ms",
                place.path().display()
            );
        }
    }
    for place in places() {
        let mut times = Vec::new();
        for i in 0..30 {
            let base = place.path().join(i.to_string());
            let mut stage = Stage::new(&base, |root| std::fs::write(root.join("f"), b"x").unwrap());
            stage.write("f", b"new", false);
            let capture = stage.capture();
            let begun = Instant::now();
            commit(&stage.layout, &capture, b"")
                .unwrap()
                .finish()
                .unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!(
            "one file {}: median {:.2} ms, worst {:.2} ms",
            place.path().display(),
            times[15],
            times[29]
        );
    }
}
