//! Targets of what people and programs write: main.cf, the command line, lines of sockets. Rule: it is refused with a message or
//! understood, in bounded time, and nothing is done meanwhile.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use isconf::cli;
use isconf::config::{HostNames, MainCf};
use isconf::fuzzing;

/// A main.cf, as a host of its domain reads it.
pub fn main_cf(input: &[u8]) {
    let host = HostNames::new("h1", Some("h1.example.com"));
    match MainCf::parse(input) {
        Ok(file) => {
            let variables = file.variables_of(&host);
            assert!(variables.len() <= input.len());
        }
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
}

/// The words of a command line, divided by NUL, as the kernel hands them over.
pub fn cli(input: &[u8]) {
    let words = input.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let words = words.map(OsString::from_vec);
    let argv = std::iter::once(OsString::from("isconf")).chain(words);
    if let Err(failure) = cli::parse(argv.collect()) {
        assert!(!failure.text.is_empty(), "refused without a word");
        assert!(failure.text.ends_with('\n'));
    }
}

/// The words of a call of a service manager's program, divided by NUL.
pub fn requests(input: &[u8]) {
    let words = input.split(|byte| *byte == 0);
    let words: Vec<String> = words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    isconf_sandbox::fuzzing::requests(&words);
}

/// What voters say to each other, what hosts sign, and entries on their way.
pub fn voters(input: &[u8]) {
    for read in [fuzzing::call, fuzzing::signed_text, fuzzing::batch] {
        if let Some(bytes) = read(input) {
            assert_eq!(read(&bytes), Some(bytes), "read otherwise the second time");
        }
    }
}

/// A line as another host or a verb sends it, or a file of addresses.
pub fn peers(input: &[u8]) {
    for read in [fuzzing::peer_line, fuzzing::control_line] {
        if let Some(line) = read(input) {
            assert_eq!(read(&line), Some(line), "read otherwise the second time");
        }
    }
    if let Some(list) = fuzzing::pieces(input) {
        assert_eq!(list, input, "a list is written otherwise than it was read");
    }
    let (places, bad) = fuzzing::nets(input);
    let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(places + bad <= lines);
}
