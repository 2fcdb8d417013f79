//! Changing the domain's key in steps, so that at no moment two hosts fail to understand each other: first
//! every host knows the new key, then it signs, then the old one goes. Pure. Upholds: a step changes only
//! what it is about; other lines of the file stay as they are.
//!
//! ```text
//! old            old            # old           new
//!                # next         old
//!                new            new (first)
//! ```
//!
//! The marks are comments, which every isconf passes over.

/// Stands before a key that is known and does not sign yet.
const NEXT: &str = "# next: signs after one more `isconf keys rotate` on every host";

/// Stands before a key that signed before.
const OLD: &str = "# old: goes with one more `isconf keys rotate` on every host";

/// The steps, and what is to be done after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStep {
    /// A new key is known here.
    Known,
    /// The new key signs here.
    Signs,
    /// The old ones are gone.
    Gone,
}

/// The content of a file of keys after its next step; `new_key` is what is taken when one is needed.
pub fn rotated(text: &str, new_key: &str) -> (String, RotationStep) {
    let is_mark = |line: &str, mark: &str| line.split(':').next() == mark.split(':').next();
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| is_mark(line, NEXT)) {
        return (
            signing(&lines, |line| is_mark(line, NEXT)),
            RotationStep::Signs,
        );
    }
    if lines.iter().any(|line| is_mark(line, OLD)) {
        let kept = without_marked(&lines, |line| is_mark(line, OLD));
        return (joined(&kept), RotationStep::Gone);
    }
    let mut lines = lines;
    lines.extend([NEXT, new_key]);
    (joined(&lines), RotationStep::Known)
}

/// Puts the marked keys first, and marks all others as old.
fn signing(lines: &[&str], is_next: impl Fn(&str) -> bool) -> String {
    let (mut next, mut rest) = (Vec::new(), Vec::new());
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if is_next(line) {
            next.extend(lines.next().copied());
        } else if is_key(line) {
            rest.extend([OLD, line]);
        } else {
            rest.push(line);
        }
    }
    next.extend(rest);
    joined(&next)
}

/// All lines but the marks and the keys behind them.
fn without_marked<'a>(lines: &[&'a str], is_marked: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        if is_marked(line) {
            let _the_key_goes_too = lines.next();
        } else {
            kept.push(*line);
        }
    }
    kept
}

/// Whether a line is a key, and not a comment, nothing, or `+ANY+`.
fn is_key(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && line != "+ANY+"
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Authentication, HmacKeys};

    /// Whether what a host with the keys `signer` sends is believed by one with `verifier`.
    fn believes(signer: &str, verifier: &str) -> bool {
        let mut code = HmacKeys::parse(signer.as_bytes()).authenticator().unwrap();
        code.update(b"x");
        let mut check = HmacKeys::parse(verifier.as_bytes()).verifier();
        check.update(b"x");
        check.finish(&code.finish()) == Authentication::Known
    }

    #[test]
    fn hosts_that_are_one_step_apart_understand_each_other() {
        let first = "# ours\nold\n\n";
        let (second, step) = rotated(first, "new");
        assert_eq!(step, RotationStep::Known);
        let (third, step) = rotated(&second, "unused");
        assert_eq!(step, RotationStep::Signs);
        let (fourth, step) = rotated(&third, "unused");
        assert_eq!(step, RotationStep::Gone);
        let texts = [first, &second, &third, &fourth];
        for pair in texts.windows(2) {
            assert!(
                believes(pair[0], pair[1]) && believes(pair[1], pair[0]),
                "{pair:?}"
            );
        }
        assert!(!believes(first, &fourth));
        assert_eq!(fourth, "new\n# ours\n\n");
        assert!(!third.contains("unused"));
    }

    #[test]
    fn other_lines_stay_and_the_next_rotation_begins_anew() {
        let (text, _) = rotated("a\nb\n+ANY+\n", "c");
        let (text, _) = rotated(&text, "-");
        assert!(text.starts_with("c\n"));
        let (text, _) = rotated(&text, "-");
        assert_eq!(text, "c\n+ANY+\n");
        let (text, step) = rotated(&text, "d");
        assert_eq!(step, RotationStep::Known);
        assert!(text.ends_with("\nd\n"));
        let (text, _) = rotated("# next: cut off", "d");
        assert_eq!(text, "", "a mark without a key is nobody's");
    }
}
