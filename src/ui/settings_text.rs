//! The settings of this host, for `env`. Not for reading them (`config`). Upholds: text, JSON and
//! shell are made from the same list.

use serde::Serialize;

use super::page::{Page, escaped};
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::config::Listed;

/// The settings for people: a line each, with the origin.
pub fn settings_text(listing: &[Listed], style: Style) -> String {
    let mut page = Page::new(style);
    for listed in listing {
        let (name, value) = (&listed.name, listed.value.as_deref());
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            page.line(0, &page.paint(Role::Faint, &format!("{name} is not set")));
            continue;
        };
        let value = escaped(value.as_bytes());
        let origin = page.paint(Role::Faint, &format!("({})", listed.origin));
        page.line(0, &format!("{name} = {value}  {origin}"));
    }
    page.into_text()
}

/// The settings as lines for a POSIX shell.
pub fn settings_export(listing: &[Listed]) -> String {
    let lines = listing.iter().filter_map(Listed::export_line);
    lines.map(|line| format!("{line}\n")).collect()
}

/// The settings for programs, as one line of JSON.
pub fn settings_json(listing: &[Listed]) -> Result<String, serde_json::Error> {
    let rows = listing.iter().map(|listed| SettingJson {
        name: &listed.name,
        value: listed.value.as_deref(),
        origin: listed.origin.to_string(),
    });
    line(&SettingsJson {
        version: JSON_VERSION,
        kind: "settings",
        settings: rows.collect(),
    })
}

#[derive(Serialize)]
struct SettingsJson<'a> {
    version: u32,
    kind: &'static str,
    settings: Vec<SettingJson<'a>>,
}

#[derive(Serialize)]
struct SettingJson<'a> {
    name: &'a str,
    value: Option<&'a str>,
    origin: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;
    use crate::ui::schema::assert_valid;

    #[test]
    fn all_forms_show_the_same_settings() {
        let listed = |name: &str, value: Option<&str>| Listed {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            origin: Origin::Environment,
        };
        let listing = [
            listed("IS_HOME", Some("/it's")),
            listed("IS_NETS", None),
            listed("conf/branch", Some("web")),
        ];
        let text = settings_text(&listing, Style::Plain);
        assert!(text.starts_with("IS_HOME = /it's  (environment)\n"));
        assert!(text.contains("\nIS_NETS is not set\n"));
        assert_eq!(text.lines().count(), 3);
        assert_eq!(settings_export(&listing), "export IS_HOME='/it'\\''s'\n");
        let line = settings_json(&listing).unwrap();
        assert_valid("host.schema.json", &line);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["settings"][0]["value"], "/it's");
        assert!(json["settings"][1]["value"].is_null());
    }
}
