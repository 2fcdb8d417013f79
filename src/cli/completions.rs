//! Completions for shells, made from the definition of the command line. Upholds: what can be
//! generated is not written by hand.

use clap_complete::Shell;

use super::args::definition;

/// The script that teaches `shell` the verbs and options.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "isconf", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_the_verbs() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::Elvish,
            Shell::PowerShell,
        ] {
            let script = String::from_utf8(completions(shell)).unwrap();
            assert!(
                script.contains("migrate") && script.contains("no-diff"),
                "{shell}"
            );
        }
    }
}
