//! `isconf diff` of paths that nobody changed, against programs that do the same. Not for drift.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::table::{Figure, Target};

/// What aide(1) is to look at: what `isconf diff` compares. The second path of the report is where
/// it writes.
const AIDE_CONF: &str = "database_in=file:/root/aide.db\ndatabase_out=file:/root/aide.db.new\n\
                         gzip_dbout=no\nreport_url=file:/root/aide.report\n\
                         /srv/many p+u+g+s+m+n+ftype+sha256+acl+xattrs\n";

/// Audits 10,000 paths that one entry wrote.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::locked("audit", Medium::Disk)?;
    host.sh("isconf exec --summary /opt/figures --inside tree /srv/many 10000 text && isconf ci")?;
    // What changed within the last seconds is read again by every audit.
    host.sh("sleep 5")?;
    let first = ["pair-once", "isconf", "diff", "--against"];
    let again = ["pair", "9", "isconf", "diff", "--against"];
    let sums = "find /srv/many -type f -exec sha256sum {} + >/root/sums";
    host.sh(sums)?;
    let sums = ["sha256sum", "--quiet", "-c", "/root/sums"];
    let find = ["find", "/srv/many", "-printf", "%C@ %i\\n"];
    let name = "isconf diff of 10,000 paths";
    let mut lines = vec![
        (", first", &first[..], &sums[..], Target::Shown),
        (", again", &again, &find, Target::AtMost(200.0)),
        (", again", &again, &sums, Target::Shown),
    ];
    let aide = ["aide", "--check", "-c", "/root/aide.conf"];
    if host.has("aide") {
        host.host().write("/root/aide.conf", AIDE_CONF)?;
        host.sh("aide --init -c /root/aide.conf >/dev/null && mv /root/aide.db.new /root/aide.db")?;
        lines.push((", again", &again, &aide, Target::Shown));
    }
    for (suffix, words, baseline, target) in lines {
        let [subject, took] = host.drive(&[words, baseline].concat())?;
        page.figures.add(Figure {
            name: format!("{name}{suffix}"),
            unit: "ms",
            subject,
            baseline: Some((baseline.join(" "), took)),
            target,
        });
    }
    Ok(())
}
