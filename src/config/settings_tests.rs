//! Layers, origins, faults and the environment of commands.

use std::fs;

use super::*;
use crate::config::HostNames;
use crate::config::SETTINGS;

/// A host with an `IS_HOME` of its own.
struct Host {
    directory: tempfile::TempDir,
    around: Surroundings,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("conf")).unwrap();
        let mut around = Surroundings {
            hostname: "h1".to_owned(),
            ..Surroundings::default()
        };
        let home = directory.path().as_os_str().to_owned();
        around.vars.insert("IS_HOME".into(), home);
        Self { directory, around }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.around.vars.insert(name.into(), value.into());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        let main_cf = self.path("main.cf");
        if !main_cf.exists() {
            fs::write(&main_cf, "").unwrap();
        }
        Settings::load(&self.around, Some(&main_cf))
    }

    fn fault(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn without_anything_the_defaults_hold() {
    let settings = Host::new().load().unwrap();
    assert_eq!(settings.port.value, 65027);
    assert_eq!(settings.port.origin, Origin::Default);
    assert_eq!(settings.reboot_command.value, "shutdown -r now");
    assert_eq!(settings.branch.value.as_str(), "generic");
    assert_eq!(settings.author().unwrap().as_str(), "root@h1");
    assert_eq!(settings.host.origin, Origin::System);
    assert_eq!(settings.nets, None);
    assert!(!settings.no_broadcast.value);
    assert_eq!(settings.undo_policy().entries, 10);
    assert_eq!(settings.undo_policy().bytes, 1 << 30);
}

#[test]
fn every_default_of_the_table_is_of_its_form() {
    let settings = Host::new().load().unwrap();
    let listing = settings.listing();
    assert_eq!(listing.len(), SETTINGS.len() + 1);
    for (row, shown) in SETTINGS.iter().zip(&listing) {
        let has_value = row.default.is_empty() || shown.value.is_some();
        assert!(has_value && shown.name == row.name, "{shown:?}");
    }
    let home = default_of("IS_HOME", value::home);
    assert_eq!(home.value.as_path(), Path::new("/var/is"));
}

#[test]
fn main_cf_wins_over_the_environment_and_that_over_the_default() {
    let host = Host::new().var("IS_PORT", "1").var("IS_HTTP_PORT", "2");
    let host = host.file("main.cf", "DEFAULT:\n IS_PORT = 3\n");
    let settings = host.load().unwrap();
    assert_eq!((settings.port.value, settings.http_port.value), (3, 2));
    assert_eq!(settings.http_port.origin, Origin::Environment);
    let expected = format!("{}:2 (DEFAULT)", host.path("main.cf").display());
    assert_eq!(settings.port.origin.to_string(), expected);
}

#[test]
fn the_domain_file_wins_over_main_cf_and_that_over_the_environment() {
    let host = Host::new().var("IS_DOMAIN", "env.example");
    let domain = |host: &Host| host.load().unwrap().require_domain().unwrap().to_string();
    assert_eq!(domain(&host), "env.example");
    let host = host.file("main.cf", "DEFAULT:\n IS_DOMAIN = cf.example\n");
    assert_eq!(domain(&host), "cf.example");
    let host = host.file("conf/domain", "file.example\n");
    assert_eq!(domain(&host), "file.example");
}

#[test]
fn a_missing_domain_is_an_error_only_when_asked_for_and_names_the_file() {
    let host = Host::new();
    let error = host.load().unwrap().require_domain().unwrap_err();
    assert_eq!(error.path, host.path("conf/domain"));
    assert!(error.to_string().contains("isconf init"));
}

#[test]
fn the_branch_comes_from_its_file() {
    let host = Host::new().file("conf/branch", "web");
    let settings = host.load().unwrap();
    assert_eq!(settings.branch.value.as_str(), "web");
    assert_eq!(
        settings.branch.origin,
        Origin::File(host.path("conf/branch"))
    );
}

#[test]
fn damaged_name_files_are_named() {
    for (file, text) in [
        ("conf/branch", "a/b\n"),
        ("conf/domain", ""),
        ("conf/domain", ".."),
    ] {
        let host = Host::new().file(file, text);
        assert!(host.fault().contains(file), "{}", host.fault());
    }
    let long = Host::new().file("conf/domain", &"a".repeat(5000));
    assert!(long.fault().contains("conf/domain"));
}

#[test]
fn a_value_of_the_wrong_form_names_its_origin_and_all_are_listed() {
    let host = Host::new().var("IS_HTTP_PORT", "x");
    let host = host.file("main.cf", "DEFAULT:\n IS_PORT = 99999\n IS_NETS = nets\n");
    let fault = host.fault();
    let file = host.path("main.cf").display().to_string();
    assert!(fault.contains(&format!("{file}:2 (DEFAULT): IS_PORT must be a port")));
    assert!(fault.contains(&format!(
        "{file}:3 (DEFAULT): IS_NETS must be an absolute path"
    )));
    assert!(fault.contains("environment: IS_HTTP_PORT must be a port"));
}

#[test]
fn an_unknown_setting_in_any_stanza_names_file_and_line() {
    let text = "DEFAULT:\n SITE = 1\n\nother:\n IS_PROT = 1\n";
    let host = Host::new().file("main.cf", text);
    let expected = format!(
        "{}:5: there is no setting IS_PROT.",
        host.path("main.cf").display()
    );
    assert!(host.fault().starts_with(&expected), "{}", host.fault());
}

#[test]
fn a_missing_main_cf_is_an_error_only_when_it_was_named() {
    let host = Host::new();
    let missing = host.path("none.cf");
    let error = Settings::load(&host.around, Some(&missing)).unwrap_err();
    assert!(matches!(error, SettingsError::NoMainCf { path } if path == missing));
}

#[test]
fn an_empty_value_in_main_cf_means_the_default() {
    let host = Host::new().var("IS_NETS", "/nets").var("IS_PORT", "1");
    let text = "DEFAULT:\n IS_NETS =\n IS_PORT =\n IS_SECRET =\n";
    let settings = host.file("main.cf", text).load().unwrap();
    assert_eq!((settings.nets, settings.port.value), (None, 65027));
    assert!(settings.secret.value.is_empty());
}

#[test]
fn a_boolean_is_set_by_any_text() {
    let host = Host::new().var("IS_NOBROADCAST", "0");
    assert!(host.load().unwrap().no_broadcast.value);
}

#[test]
fn the_listing_gives_settings_and_site_variables_with_their_origins() {
    let host = Host::new().file("main.cf", "DEFAULT:\n GATEWAY = it's\n");
    let listing = host.load().unwrap().listing();
    let gateway = listing.iter().find(|l| l.name == "GATEWAY").unwrap();
    assert_eq!(gateway.export_line().unwrap(), r"export GATEWAY='it'\''s'");
    let by_name = |name: &str| listing.iter().find(|l| l.name == name).unwrap();
    assert_eq!(by_name("IS_NETS").export_line(), None);
    assert_eq!(by_name("conf/branch").export_line(), None);
    let port = by_name("IS_PORT").export_line();
    assert_eq!(port.as_deref(), Some("export IS_PORT='65027'"));
}

#[test]
fn commands_get_the_named_variables_and_the_sites_own() {
    let host = Host::new()
        .var("LC_ALL", "C")
        .var("SECRET", "x")
        .var("HOME", "/root");
    let host = host.file("main.cf", "DEFAULT:\n GATEWAY = 1\n HOME = /site\n");
    let settings = host.load().unwrap();
    let names = |env: &[(OsString, OsString)]| -> Vec<String> {
        let line = |(n, v): &(OsString, OsString)| format!("{}={}", n.display(), v.display());
        env.iter().map(line).collect()
    };
    let passed = settings.passed_environment(&host.around, &[]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(names(&passed), ["HOME=/root", "LC_ALL=C", path]);
    let more = settings.passed_environment(&host.around, &["SECRET".into()]);
    assert_eq!(more.len(), 4);
    let all = settings.command_environment(passed);
    assert_eq!(names(&all), ["GATEWAY=1", "HOME=/site", "LC_ALL=C", path]);
}

#[test]
fn the_stanza_is_that_of_the_hosts_names() {
    let host = Host::new().file("main.cf", "DEFAULT:\nh1:\n X = 1\n");
    let settings = host.load().unwrap();
    assert_eq!(host.around.host_names(), HostNames::new("h1", None));
    assert_eq!(settings.main_cf["X"].value, "1");
}
