//! The rows of the grammar table, each a test, and the properties of the parser.

use proptest::prelude::*;

use super::*;
use crate::config::FaultKind;

/// The example of the manual, indented as it is printed there.
const MANUAL: &str = r"
    DEFAULT:
        NTPSERVERS = ntp1 ntp2 bigben.ucsd.edu mcs.anl.gov
        IS_NETS=/etc/is/nets

    NET1:
        GATEWAY = 10.10.1.1

    NET2:
        GATEWAY = 10.10.2.1

    # The host 'scotty':
    #
    # GATEWAY=10.10.1.1
    #
    scotty: NET1
        building = this value is ignored
        building = 23
        floor = 2
        IS_NETS=/etc/is/nets.scotty

    kirk: NET2
        building = 52
        floor = 12

    LOST:
        building = unknown
        floor = unknown

    # any other host in example.com:
    ^.*\.example\.com: LOST
        GATEWAY = 10.2.3.1

    ^.*: LOST
        GATEWAY = 10.0.0.1
";

fn parsed(text: &str) -> MainCf {
    MainCf::parse(text.as_bytes()).unwrap()
}

fn faults(text: &str) -> Vec<Fault> {
    MainCf::parse(text.as_bytes()).unwrap_err()
}

/// The only fault of the text.
fn fault(text: &str) -> (usize, FaultKind) {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    (faults[0].line, faults[0].kind.clone())
}

/// The value of a variable for a host; `-` when it has none.
fn value_for(main_cf: &MainCf, hostname: &str, full: Option<&str>, name: &str) -> String {
    let variables = main_cf.variables_of(&HostNames::new(hostname, full));
    variables.get(name).map_or("-", |v| &v.value).to_owned()
}

fn value(text: &str, host: &str, name: &str) -> String {
    value_for(&parsed(text), host, None, name)
}

/// The rows of the resolved table: gateway, building, floor, nets.
fn row(text: &str, hostname: &str, full: Option<&str>) -> [String; 4] {
    let main_cf = parsed(text);
    let servers = value_for(&main_cf, hostname, full, "NTPSERVERS");
    assert_eq!(servers, "ntp1 ntp2 bigben.ucsd.edu mcs.anl.gov");
    ["GATEWAY", "building", "floor", "IS_NETS"].map(|n| value_for(&main_cf, hostname, full, n))
}

#[test]
fn the_manuals_example_gives_the_manuals_table() {
    let lines = MANUAL.lines().map(|l| l.strip_prefix("    ").unwrap_or(l));
    let unindented = lines.collect::<Vec<_>>().join("\n");
    let scotty = ["10.10.1.1", "23", "2", "/etc/is/nets.scotty"];
    let kirk = ["10.10.2.1", "52", "12", "/etc/is/nets"];
    let inside = ["10.2.3.1", "unknown", "unknown", "/etc/is/nets"];
    let outside = ["10.0.0.1", "unknown", "unknown", "/etc/is/nets"];
    for text in [MANUAL, &unindented] {
        assert_eq!(row(text, "scotty", None), scotty);
        assert_eq!(row(text, "scotty", Some("scotty.example.com")), scotty);
        assert_eq!(row(text, "scotty.example.com", None), scotty);
        assert_eq!(row(text, "kirk", None), kirk);
        assert_eq!(row(text, "x", Some("x.example.com")), inside);
        assert_eq!(row(text, "foo.example.com", None), inside);
        assert_eq!(row(text, "foo", None), outside);
        assert_eq!(row(text, "FOO.EXAMPLE.COM", None), outside);
        let net1 = ["10.10.1.1", "-", "-", "/etc/is/nets"];
        assert_eq!(row(text, "NET1", None), net1);
    }
}

#[test]
fn a_variable_knows_its_line_and_target() {
    let main_cf = parsed("DEFAULT:\n x = 1\n\na b:\n y = 2 # two\n");
    let variables = main_cf.variables_of(&HostNames::new("b", None));
    let expected = Variable {
        value: "2".to_owned(),
        line: 5,
        target: "a b".to_owned(),
    };
    assert_eq!(variables["y"], expected);
    assert_eq!(variables["x"].line, 2);
}

#[test]
fn default_must_come_first() {
    let (line, kind) = fault("\n# c\na:\n x = 1\n\nDEFAULT:\n");
    assert_eq!((line, kind), (3, FaultKind::DefaultNotFirst));
    let text = faults("a:\n")[0].kind.to_string();
    assert!(text.starts_with("section not found: DEFAULT"), "{text}");
}

#[test]
fn an_include_must_be_defined_above() {
    let zz = |line| (line, FaultKind::UnknownSection("ZZ".to_owned()));
    assert_eq!(fault("DEFAULT:\n\na: ZZ\n x = 1\n"), zz(3));
    assert_eq!(fault("DEFAULT:\na: ZZ\n x = 1\nZZ:\n x = 2\n"), zz(2));
    let own = FaultKind::UnknownSection("a".to_owned());
    assert_eq!(fault("DEFAULT:\na: a\n"), (2, own));
}

#[test]
fn a_blank_line_ends_a_stanza() {
    let text = "DEFAULT:\n x = 1\n \t \n y = 2\n";
    let outside = FaultKind::OutsideStanza("y".to_owned());
    assert_eq!(fault(text), (4, outside));
}

#[test]
fn a_comment_line_does_not_end_a_stanza() {
    let text = "DEFAULT:\n x = 1\n# c\n   # d\n y = 2\n";
    assert_eq!(value(text, "h", "y"), "2");
}

#[test]
fn trailing_comments_are_no_part_of_the_value() {
    let text =
        "DEFAULT: # all\n a = 1 # note\n b = 2\t#note\n u = http://x:80/?a=b#frag\n e = # c\n";
    assert_eq!(value(text, "h", "a"), "1");
    assert_eq!(value(text, "h", "b"), "2");
    assert_eq!(value(text, "h", "u"), "http://x:80/?a=b#frag");
    assert_eq!(value(text, "h", "e"), "");
}

#[test]
fn includes_and_lines_go_to_all_names_of_a_header() {
    let text = "DEFAULT:\nINC:\n i = 1\na b: INC\n x = 2\n";
    for host in ["a", "b"] {
        assert_eq!(value(text, host, "i"), "1");
        assert_eq!(value(text, host, "x"), "2");
    }
}

#[test]
fn an_include_does_not_bring_default_again() {
    let text = "DEFAULT:\n v = d\nI1:\n v = i1\nI2:\n w = i2\na: I1 I2\n";
    assert_eq!(value(text, "a", "v"), "i1");
    assert_eq!(value(text, "a", "w"), "i2");
    let nested = "DEFAULT:\n v = d\nI1:\n v = i1\nI2: I1\n\nI3:\n w = 3\na: I2 I3\n";
    assert_eq!(value(nested, "a", "v"), "i1");
}

#[test]
fn later_includes_and_own_lines_win() {
    let text = "DEFAULT:\n v = d\nI1:\n v = 1\n w = 1\nI2:\n v = 2\n w = 2\na: I1 I2\n w = own\nb: I2 I1\n";
    assert_eq!(
        (value(text, "a", "v"), value(text, "a", "w")),
        ("2".into(), "own".into())
    );
    assert_eq!(
        (value(text, "b", "v"), value(text, "b", "w")),
        ("1".into(), "1".into())
    );
}

#[test]
fn default_may_be_continued_and_its_later_lines_win_for_all() {
    let text = "DEFAULT:\n v = 1\na:\n x = 1\nDEFAULT:\n v = 2\nb:\n v = b\n";
    assert_eq!(value(text, "a", "v"), "2");
    assert_eq!(value(text, "other", "v"), "2");
    assert_eq!(value(text, "b", "v"), "b");
}

#[test]
fn a_stanza_may_be_continued_and_later_lines_win() {
    let text = "DEFAULT:\na:\n x = 1\n y = 1\nz:\n\na:\n x = 2\nc: a\n";
    for host in ["a", "c"] {
        assert_eq!(
            (value(text, host, "x"), value(text, host, "y")),
            ("2".into(), "1".into())
        );
    }
}

#[test]
fn an_include_means_the_section_as_it_stands_above() {
    let text = "DEFAULT:\nI:\n x = 1\na: I\n\nI:\n x = 2\nb: I\na: a\n y = 1\n";
    assert_eq!(value(text, "a", "x"), "1");
    assert_eq!(value(text, "a", "y"), "1");
    assert_eq!(value(text, "b", "x"), "2");
}

#[test]
fn the_first_matching_target_of_the_file_is_the_only_one() {
    let text = "DEFAULT:\n^a.*:\n x = pattern\na:\n x = name\n y = name\n";
    assert_eq!(value(text, "a", "x"), "pattern");
    assert_eq!(value(text, "a", "y"), "-");
    let text = "DEFAULT:\na:\n x = name\n^a.*:\n x = pattern\n";
    assert_eq!(value(text, "a", "x"), "name");
    assert_eq!(value(text, "ab", "x"), "pattern");
}

#[test]
fn a_header_is_divided_at_its_last_colon() {
    let text = "DEFAULT:\nI:\n i = 1\n^(?:a|b)$: I\n x = 1\n";
    assert_eq!(value(text, "b", "x"), "1");
    assert_eq!(value(text, "b", "i"), "1");
    assert_eq!(value(text, "ab", "x"), "-");
}

#[test]
fn an_invalid_pattern_is_named_with_its_line_when_the_file_is_read() {
    let (line, kind) = fault("DEFAULT:\n\n^(: DEFAULT\n x = 1\n");
    assert_eq!(line, 3);
    assert!(matches!(kind, FaultKind::Pattern(p) if p.pattern == "^("));
}

#[test]
fn values_are_verbatim() {
    let text = "DEFAULT:\n url = http://x:80/?a=b\n q = \"a  'b'\" \n e =\n t=\ta\\\n";
    assert_eq!(value(text, "h", "url"), "http://x:80/?a=b");
    assert_eq!(value(text, "h", "q"), "\"a  'b'\"");
    assert_eq!(value(text, "h", "e"), "");
    assert_eq!(value(text, "h", "t"), "a\\");
}

#[test]
fn a_variable_must_be_indented_and_have_a_plain_name() {
    let not_indented = FaultKind::NotIndented("e".to_owned());
    assert_eq!(
        fault("DEFAULT:\n x = 1\ne = 1\n"),
        (3, not_indented.clone())
    );
    assert_eq!(fault("DEFAULT:\n x = 1\ne = http://x\n"), (3, not_indented));
    for bad in ["a-b = 1", "= 1", "1a = 1", "é = 1", "novalue", "b:"] {
        let (line, kind) = fault(&format!("DEFAULT:\n x = 1\n {bad}\n"));
        assert_eq!((line, kind), (3, FaultKind::NotAVariable(bad.to_owned())));
    }
}

#[test]
fn a_line_that_is_no_header_is_refused() {
    let bad = FaultKind::NotAHeader("what is this".to_owned());
    assert_eq!(fault("DEFAULT:\nwhat is this\n"), (2, bad));
    assert_eq!(fault("DEFAULT:\n: DEFAULT\n"), (2, FaultKind::NoTarget));
}

#[test]
fn tabs_line_ends_of_dos_and_a_missing_last_line_end_are_accepted() {
    let text = "DEFAULT:\r\n\tx\t=\t1\r\n\r\na:\tDEFAULT\r\n\ty = 2";
    assert_eq!(value(text, "a", "x"), "1");
    assert_eq!(value(text, "a", "y"), "2");
    for empty in ["", "\n", "# nothing\n", " \n\n"] {
        assert!(
            parsed(empty)
                .variables_of(&HostNames::new("a", None))
                .is_empty()
        );
    }
}

#[test]
fn all_faults_are_given_in_one_pass_and_name_file_and_line() {
    let text = "DEFAULT:\n a-b = 1\n\n y = 1\nx: ZZ\n fine = 1\n^[: DEFAULT\n";
    let lines: Vec<usize> = faults(text).iter().map(|f| f.line).collect();
    assert_eq!(lines, [2, 4, 5, 7]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("main.cf");
    assert!(MainCf::read(&path).unwrap().is_none());
    std::fs::write(&path, "DEFAULT:\nx: ZZ\n").unwrap();
    let message = MainCf::read(&path).unwrap_err().to_string();
    let expected = format!("{}:2: section not found: ZZ. ", path.display());
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn bytes_that_are_no_text_are_named_by_line() {
    let only = |bytes: &[u8]| MainCf::parse(bytes).unwrap_err().remove(0);
    let not_text = only(b"DEFAULT:\n x = \xff\n");
    assert_eq!((not_text.line, not_text.kind), (2, FaultKind::NotText));
    let nul = only(b"DEFAULT:\n x = \0\n");
    assert_eq!((nul.line, nul.kind), (2, FaultKind::Nul));
    assert!(MainCf::parse(b"DEFAULT: # \xff\n").is_ok());
}

#[test]
fn what_is_too_long_is_refused() {
    let long = format!("DEFAULT:\n x = {}\n", "a".repeat(70_000));
    assert!(matches!(fault(&long), (2, FaultKind::TooLong(_))));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("main.cf");
    std::fs::write(&path, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(MainCf::read(&path), Err(MainCfError::Read(_))));
}

#[test]
fn deep_and_doubled_includes_cost_linear_time() {
    let mut text = String::from("DEFAULT:\n v = 0\ns0:\n v = 1\n");
    for level in 1..20_000 {
        let below = level - 1;
        text.push_str(&format!("s{level}: s{below} s{below}\n"));
    }
    assert_eq!(value(&text, "s19999", "v"), "1");
}

/// Targets, includes and lines of a stanza.
type Stanza = (Vec<String>, Vec<String>, Vec<(String, String)>);

/// What a file means, without the lines.
fn meaning(main_cf: &MainCf) -> Vec<Stanza> {
    let block = |b: &Block| {
        let targets = b.targets.iter().map(|t| t.as_str().to_owned());
        let includes = b.includes.iter().map(|(name, _)| name.clone());
        let body = b.body.iter().map(|l| (l.name.clone(), l.value.clone()));
        (targets.collect(), includes.collect(), body.collect())
    };
    main_cf.blocks.iter().map(block).collect()
}

/// Text made of the pieces that the grammar knows, and some that it does not.
fn near_grammar() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "DEFAULT:",
        "DEFAULT",
        "a:",
        "a b: a",
        "^a.*",
        ": ",
        "\n",
        "\n",
        "\n\n",
        " ",
        "\t",
        "    ",
        "x = 1",
        " y=#2",
        "x =",
        "#",
        " # c",
        "=",
        "é",
        "\r\n",
        ":",
        "\u{b}",
        "http://x:80/",
    ]);
    let body = prop::collection::vec(piece, 0..40).prop_map(|p| p.concat());
    (any::<bool>(), body).prop_map(|(first, body)| {
        let head = if first {
            "DEFAULT:\n a = b\n\na: DEFAULT\n"
        } else {
            ""
        };
        format!("{head}{body}")
    })
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _either = MainCf::parse(&bytes);
    }

    #[test]
    fn what_is_printed_parses_to_the_same(text in near_grammar()) {
        if let Ok(first) = MainCf::parse(text.as_bytes()) {
            let printed = first.to_string();
            let second = MainCf::parse(printed.as_bytes());
            prop_assert!(second.is_ok(), "{printed:?}: {second:?}");
            let second = second.unwrap();
            prop_assert_eq!(meaning(&first), meaning(&second));
            let host = HostNames::new("a", None);
            let values = |m: &MainCf| -> Vec<(String, String)> {
                m.variables_of(&host).into_iter().map(|(n, v)| (n, v.value)).collect()
            };
            prop_assert_eq!(values(&first), values(&second));
        }
    }
}
