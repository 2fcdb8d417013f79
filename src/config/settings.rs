//! All settings of this host, typed, each with its origin. Upholds: main.cf wins over the
//! environment, the environment over the defaults, `conf/domain` over all (manual of ISconf 4,
//! ENVIRONMENT); what cannot be understood stops every verb before it does anything.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::durable::{self, FileError};
use crate::model::{
    Author, AutoUp, BranchName, CachePolicy, DailyWindow, DomainName, Home, HostName, InvalidName,
    Network,
};

use super::main_cf::{MainCf, MainCfError, Variable};
use super::origin::{Origin, Setting};
use super::path_glob::PathGlob;
use super::setting_table::{SettingRow, setting_row};
use super::surroundings::Surroundings;
use super::value;

/// The main.cf that is read when `-c` names no other. It need not exist.
pub const DEFAULT_MAIN_CF: &str = "/etc/is/main.cf";

/// The longest `conf/domain` or `conf/branch`, in bytes; more than the longest name.
const MAX_NAME_FILE_BYTES: u64 = 4096;

/// The settings. Made once at the start of a verb; parts of it are handed down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `IS_HOME`.
    pub home: Setting<Home>,
    /// The domain, where the host has one; see [`Settings::require_domain`].
    pub domain: Option<Setting<DomainName>>,
    /// The branch: `conf/branch`, or `generic`.
    pub branch: Setting<BranchName>,
    /// `IS_PORT`.
    pub port: Setting<u16>,
    /// `IS_HTTP_PORT`.
    pub http_port: Setting<u16>,
    /// `IS_NETS`.
    pub nets: Option<Setting<PathBuf>>,
    /// `IS_NOBROADCAST`.
    pub no_broadcast: Setting<bool>,
    /// `IS_HMAC_KEYS`, or `conf/hmac_keys`.
    pub hmac_keys: Setting<PathBuf>,
    /// `IS_REBOOT_CMD`, for `/bin/sh -c`.
    pub reboot_command: Setting<String>,
    /// `LOGNAME`.
    pub user: Setting<String>,
    /// `HOSTNAME`.
    pub host: Setting<HostName>,
    /// `IS_UNDO_KEEP`, entries.
    pub undo_keep: Setting<u32>,
    /// `IS_UNDO_BYTES`.
    pub undo_bytes: Setting<u64>,
    /// `IS_ENV_PASS`: names, of which a last `*` stands for any ending.
    pub env_pass: Setting<Vec<String>>,
    /// `IS_IGNORE`.
    pub ignore: Setting<Vec<PathGlob>>,
    /// `IS_SECRET`.
    pub secret: Setting<Vec<PathGlob>>,
    /// `IS_NETWORK`.
    pub network: Setting<Network>,
    /// `IS_AUTO_UP`.
    pub auto_up: Setting<AutoUp>,
    /// `IS_UP_WINDOW`.
    pub up_window: Option<Setting<DailyWindow>>,
    /// `IS_UP_JITTER`, seconds.
    pub up_jitter: Setting<u64>,
    /// `IS_CACHE`.
    pub cache: Setting<CachePolicy>,
    /// `IS_COPIES`, hosts.
    pub copies: Setting<u32>,
    /// `IS_VOTER_PATIENCE`, seconds.
    pub voter_patience: Setting<u64>,
    /// `IS_CI_STRICT`.
    pub ci_strict: Setting<bool>,
    /// `IS_LIMIT_TIME`, seconds; 0 for none.
    pub limit_time: Setting<u64>,
    /// `IS_LIMIT_PROCESSES`; 0 for none.
    pub limit_processes: Setting<u32>,
    /// `IS_LIMIT_DISK`, bytes; 0 for none.
    pub limit_disk: Setting<u64>,
    /// All that main.cf sets for this host, by name; site variables among them.
    pub(super) main_cf: BTreeMap<String, Variable>,
    /// The main.cf that was read.
    pub(super) main_cf_path: Option<PathBuf>,
}

/// How much undo data is kept: as long as both limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndoPolicy {
    /// The last entries that can be undone.
    pub entries: u32,
    /// The disk their data may take, in bytes.
    pub bytes: u64,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file that `-c` names does not exist.
    #[error(
        "{} does not exist. Name another file with -c, or leave the flag out",
        path.display()
    )]
    NoMainCf {
        /// The file.
        path: PathBuf,
    },
    /// main.cf cannot be used.
    #[error(transparent)]
    MainCf(#[from] MainCfError),
    /// `conf/domain` or `conf/branch` could not be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// Values that are not what they must be; one line each.
    #[error("{}", lines(.0))]
    Faults(Vec<SettingFault>),
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingFault {
    /// The value is not of the setting's form.
    #[error("{origin}: {name} must be {form}, not {value:?}.")]
    Value {
        /// The setting.
        name: &'static str,
        /// The value, shortened.
        value: String,
        /// What it must be.
        form: &'static str,
        /// Who said so.
        origin: Origin,
    },
    /// main.cf sets a variable that looks like a setting and is none.
    #[error("{}:{line}: there is no setting {name}. Names that start with IS_ are reserved; `isconf env` lists them.", file.display())]
    Unknown {
        /// The variable.
        name: String,
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

fn lines(faults: &[SettingFault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The host has no domain yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is missing. Run `isconf init DOMAIN` to make it", path.display())]
pub struct MissingDomain {
    /// The file that should name it.
    pub path: PathBuf,
}

impl Settings {
    /// Reads main.cf (the named one, or the usual one), `conf/domain` and `conf/branch`, and
    /// resolves all settings. Fails with every fault it finds.
    pub fn load(around: &Surroundings, named: Option<&Path>) -> Result<Self, SettingsError> {
        let path = named.unwrap_or(Path::new(DEFAULT_MAIN_CF));
        let main_cf = MainCf::read(path)?;
        if let (None, Some(path)) = (&main_cf, named) {
            let path = path.to_owned();
            return Err(SettingsError::NoMainCf { path });
        }
        let layers = Layers::of(around, main_cf.as_ref().map(|m| (path, m)));
        let mut reader = Reader::over(&layers);
        let home = reader.required("IS_HOME", value::home);
        let domain = name_in(&home.value.domain_file())?;
        let branch = name_in(&home.value.branch_file())?;
        let settings = reader.rest(home, domain, branch);
        if reader.faults.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError::Faults(reader.faults))
        }
    }

    /// The domain, or the error that names the missing file.
    pub fn require_domain(&self) -> Result<&DomainName, MissingDomain> {
        let missing = || MissingDomain {
            path: self.home.value.domain_file(),
        };
        let domain = self.domain.as_ref().ok_or_else(missing)?;
        Ok(&domain.value)
    }

    /// Who makes entries and takes the lock here.
    pub fn author(&self) -> Result<Author, InvalidName> {
        Author::of(&self.user.value, &self.host.value)
    }

    /// How much undo data is kept.
    pub const fn undo_policy(&self) -> UndoPolicy {
        UndoPolicy {
            entries: self.undo_keep.value,
            bytes: self.undo_bytes.value,
        }
    }

    /// The main.cf that was read, if any.
    pub fn main_cf_path(&self) -> Option<&Path> {
        self.main_cf_path.as_deref()
    }
}

/// The one line of a file that holds a name; `None` when the file does not exist.
fn name_in(path: &Path) -> Result<Option<Setting<OsString>>, FileError> {
    let Some(bytes) = durable::read_small(path, MAX_NAME_FILE_BYTES)? else {
        return Ok(None);
    };
    Ok(Some(Setting {
        value: OsString::from_vec(bytes.trim_ascii().to_vec()),
        origin: Origin::File(path.to_owned()),
    }))
}

/// The layers that a value may come from.
struct Layers<'a> {
    around: &'a Surroundings,
    main_cf: Option<(&'a Path, &'a MainCf)>,
    variables: BTreeMap<String, Variable>,
}

impl<'a> Layers<'a> {
    fn of(around: &'a Surroundings, main_cf: Option<(&'a Path, &'a MainCf)>) -> Self {
        let host = around.host_names();
        let variables = main_cf.map(|(_, m)| m.variables_of(&host));
        Self {
            around,
            main_cf,
            variables: variables.unwrap_or_default(),
        }
    }

    /// The strongest value of that name. An empty value in main.cf hides that of the environment.
    fn value_of(&self, name: &str) -> Option<Setting<OsString>> {
        if let (Some((file, _)), Some(variable)) = (self.main_cf, self.variables.get(name)) {
            return Some(Setting {
                value: OsString::from(&variable.value),
                origin: origin_of(file, variable),
            });
        }
        let value = self.around.var(name)?.to_owned();
        let origin = Origin::Environment;
        Some(Setting { value, origin })
    }
}

/// The origin of a variable of main.cf.
pub(super) fn origin_of(file: &Path, variable: &Variable) -> Origin {
    Origin::MainCf {
        file: file.to_owned(),
        line: variable.line,
        target: variable.target.clone(),
    }
}

/// Reads typed values out of the layers, and keeps the faults.
struct Reader<'a> {
    layers: &'a Layers<'a>,
    faults: Vec<SettingFault>,
}

impl<'a> Reader<'a> {
    /// Starts with the names: those of all stanzas, so that a mistake shows on every host.
    fn over(layers: &'a Layers<'a>) -> Self {
        let mut faults = Vec::new();
        if let Some((file, main_cf)) = layers.main_cf {
            let reserved = main_cf.all_names().filter(|(_, n)| n.starts_with("IS_"));
            let unknown = reserved.filter(|(_, n)| setting_row(n).is_none());
            faults.extend(unknown.map(|(line, name)| SettingFault::Unknown {
                name: name.to_owned(),
                file: file.to_owned(),
                line,
            }));
        }
        Self { layers, faults }
    }

    /// Types a value; a fault gives none.
    fn typed<T>(
        &mut self,
        row: &'static SettingRow,
        raw: Setting<OsString>,
        parse: fn(&OsStr) -> Option<T>,
    ) -> Option<Setting<T>> {
        let Setting { value, origin } = raw;
        match parse(&value) {
            Some(value) => Some(Setting { value, origin }),
            None => {
                self.faults.push(SettingFault::Value {
                    name: row.name,
                    value: value.to_string_lossy().chars().take(80).collect(),
                    form: row.form,
                    origin,
                });
                None
            }
        }
    }

    /// A value that may be missing; an empty one is missing.
    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: fn(&OsStr) -> Option<T>,
    ) -> Option<Setting<T>> {
        let raw = self.layers.value_of(name).filter(|s| !s.value.is_empty())?;
        self.typed(row_of(name), raw, parse)
    }

    /// A value that has a default, which an empty one means, too.
    fn required<T>(&mut self, name: &'static str, parse: fn(&OsStr) -> Option<T>) -> Setting<T> {
        let found = self.optional(name, parse);
        found.unwrap_or_else(|| default_of(name, parse))
    }

    /// A list; an empty one in main.cf is an empty list.
    fn list<T>(
        &mut self,
        name: &'static str,
        parse: fn(&OsStr) -> Option<Vec<T>>,
    ) -> Setting<Vec<T>> {
        let raw = self.layers.value_of(name);
        let found = raw.and_then(|raw| self.typed(row_of(name), raw, parse));
        found.unwrap_or_else(|| default_of(name, parse))
    }

    /// The host's name: as set, or as the system says.
    fn host(&mut self) -> Option<Setting<HostName>> {
        let raw = self.layers.value_of("HOSTNAME");
        let raw = raw.filter(|s| !s.value.is_empty());
        let system = || Setting {
            value: OsString::from(&self.layers.around.hostname),
            origin: Origin::System,
        };
        let raw = raw.unwrap_or_else(system);
        self.typed(row_of("HOSTNAME"), raw, value::host)
    }

    fn domain(&mut self, file: Option<Setting<OsString>>) -> Option<Setting<DomainName>> {
        match file {
            Some(raw) => self.typed(row_of("IS_DOMAIN"), raw, value::domain),
            None => self.optional("IS_DOMAIN", value::domain),
        }
    }

    fn branch(&mut self, file: Option<Setting<OsString>>) -> Setting<BranchName> {
        let found = file.and_then(|raw| self.typed(&BRANCH_ROW, raw, value::branch));
        found.unwrap_or_else(|| Setting {
            value: BranchName::generic(),
            origin: Origin::Default,
        })
    }

    /// All settings but the home. Where a value has a fault its default stands in; the caller
    /// throws the whole away.
    fn rest(
        &mut self,
        home: Setting<Home>,
        domain: Option<Setting<OsString>>,
        branch: Option<Setting<OsString>>,
    ) -> Settings {
        let hmac_keys = self.optional("IS_HMAC_KEYS", value::path);
        let hmac_keys = hmac_keys.unwrap_or_else(|| Setting {
            value: home.value.hmac_keys(),
            origin: Origin::Default,
        });
        Settings {
            domain: self.domain(domain),
            branch: self.branch(branch),
            port: self.required("IS_PORT", value::port),
            http_port: self.required("IS_HTTP_PORT", value::port),
            nets: self.optional("IS_NETS", value::path),
            no_broadcast: self.required("IS_NOBROADCAST", value::is_set),
            hmac_keys,
            reboot_command: self.required("IS_REBOOT_CMD", value::line),
            user: self.required("LOGNAME", value::user),
            host: self.host().unwrap_or_else(|| Setting {
                value: unnamed_host(),
                origin: Origin::Default,
            }),
            undo_keep: self.required("IS_UNDO_KEEP", value::entries),
            undo_bytes: self.required("IS_UNDO_BYTES", value::bytes),
            env_pass: self.list("IS_ENV_PASS", value::variable_names),
            ignore: self.list("IS_IGNORE", value::globs),
            secret: self.list("IS_SECRET", value::globs),
            network: self.required("IS_NETWORK", value::network),
            auto_up: self.required("IS_AUTO_UP", value::auto_up),
            up_window: self.optional("IS_UP_WINDOW", value::daily_window),
            up_jitter: self.required("IS_UP_JITTER", value::seconds),
            cache: self.required("IS_CACHE", value::cache_policy),
            copies: self.required("IS_COPIES", value::copies),
            voter_patience: self.required("IS_VOTER_PATIENCE", value::seconds),
            ci_strict: self.required("IS_CI_STRICT", value::yes_or_no),
            limit_time: self.required("IS_LIMIT_TIME", value::seconds),
            limit_processes: self.required("IS_LIMIT_PROCESSES", value::entries),
            limit_disk: self.required("IS_LIMIT_DISK", value::bytes),
            main_cf: self.layers.variables.clone(),
            main_cf_path: self.layers.main_cf.map(|(path, _)| path.to_owned()),
            home,
        }
    }
}

/// The branch has a file and no variable, so it has no row in the table.
static BRANCH_ROW: SettingRow = SettingRow {
    name: "the branch",
    default: "generic",
    form: "a name of 2 to 128 of A-Z a-z 0-9 _ . -, not starting with . or -",
    text: "",
};

/// Stands in for a host's name that has a fault.
fn unnamed_host() -> HostName {
    HostName::new("localhost").expect("`localhost` is a host's name")
}

/// The row of a setting that this module names.
fn row_of(name: &'static str) -> &'static SettingRow {
    setting_row(name).expect("every setting that is read has a row in the table")
}

/// The default of the table, typed.
fn default_of<T>(name: &'static str, parse: fn(&OsStr) -> Option<T>) -> Setting<T> {
    let value = parse(OsStr::new(row_of(name).default));
    Setting {
        value: value.expect("every default in the table is of the setting's form"),
        origin: Origin::Default,
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
