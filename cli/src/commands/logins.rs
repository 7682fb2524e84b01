//! The file of saved logins, shared with `faas-cli`: `config.yml` with a list `auths:`.
//!
//! ```yaml
//! auths:
//! - gateway: http://bramble.local
//!   auth: basic
//!   token: YWRtaW46cGFzc3dvcmQ=
//! ```
//!
//! Here: reading, changing and writing it ([`Logins`], pure), and where it is ([`LoginFile`]). Entries of other kinds
//! than `basic` are kept and never used.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{failure::Failure, gateway, yaml};

/// The kind of entry that is a user's name and password.
const BASIC: &str = "basic";

/// All saved logins, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Logins {
    #[serde(default)]
    auths: Option<Vec<Login>>,
}

/// One saved login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Login {
    #[serde(default)]
    gateway: String,
    #[serde(default)]
    auth: String,
    /// For `basic`: base64 of `user:password`.
    #[serde(default)]
    token: String,
    #[serde(default)]
    options: Option<Vec<LoginOption>>,
}

/// A setting of a login of another kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct LoginOption {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

impl Logins {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        yaml::read(text)
    }

    fn entries(&self) -> &[Login] {
        self.auths.as_deref().unwrap_or_default()
    }

    /// The token for `gateway` and no other.
    pub(crate) fn token(&self, gateway: &str) -> Option<&str> {
        let of_gateway = |login: &&Login| login.auth == BASIC && is(login, gateway);
        self.entries()
            .iter()
            .find(of_gateway)
            .map(|login| login.token.as_str())
    }

    /// Where somebody signed in last.
    pub(crate) fn newest(&self) -> Option<&str> {
        let basic = self.entries().iter().rfind(|login| login.auth == BASIC);
        basic.map(|login| login.gateway.as_str())
    }

    /// Keeps a login, in the place of an older one for the same gateway, as the newest.
    pub(crate) fn put(&mut self, gateway: &str, token: &str) {
        self.remove(gateway);
        self.auths.get_or_insert_default().push(Login {
            gateway: gateway.to_owned(),
            auth: BASIC.to_owned(),
            token: token.to_owned(),
            options: None,
        });
    }

    /// Forgets the login for `gateway`; whether there was one.
    pub(crate) fn remove(&mut self, gateway: &str) -> bool {
        let Some(auths) = &mut self.auths else {
            return false;
        };
        let before = auths.len();
        auths.retain(|login| !is(login, gateway));
        auths.len() < before
    }

    /// The text of the file.
    pub(crate) fn to_text(&self) -> String {
        if self.entries().is_empty() {
            return "auths: []\n".to_owned();
        }
        let mut text = "auths:\n".to_owned();
        for login in self.entries() {
            text += &format!("- gateway: {}\n", yaml::scalar(&login.gateway));
            text += &format!("  auth: {}\n", yaml::scalar(&login.auth));
            text += &format!("  token: {}\n", yaml::scalar(&login.token));
            for (i, option) in login.options.iter().flatten().enumerate() {
                if i == 0 {
                    text += "  options:\n";
                }
                text += &format!("  - name: {}\n", yaml::scalar(&option.name));
                text += &format!("    value: {}\n", yaml::scalar(&option.value));
            }
        }
        text
    }
}

/// Whether `login` is for `gateway`, whichever tool wrote it.
fn is(login: &Login, gateway: &str) -> bool {
    gateway::normalize(&login.gateway).is_ok_and(|its| its == gateway)
}

/// Where the file is.
#[derive(Clone, Debug)]
pub(crate) struct LoginFile(PathBuf);

impl LoginFile {
    /// The file of this user: in `OPENFAAS_CONFIG`, else in CI in `.openfaas`, else in `~/.openfaas`.
    pub(crate) fn of_user() -> Self {
        Self::from_environment(|name| std::env::var_os(name))
    }

    fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = || PathBuf::from(get("HOME").unwrap_or_default());
        let folder = match get("OPENFAAS_CONFIG").filter(|folder| !folder.is_empty()) {
            Some(folder) => match PathBuf::from(&folder).strip_prefix("~") {
                Ok(rest) => home().join(rest),
                Err(_) => PathBuf::from(folder),
            },
            None if get("CI").is_some_and(|ci| ci == "true" || ci == "1") => PathBuf::from(".openfaas"),
            None => home().join(".openfaas"),
        };
        Self(folder.join("config.yml"))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads it; without a file nobody is signed in.
    ///
    /// # Errors
    /// [`Failure`] that names the file.
    pub(crate) fn read(&self) -> Result<Logins, Failure> {
        let path = self.0.display();
        match fs::read_to_string(&self.0) {
            Ok(text) => Logins::parse(&text).map_err(|why| {
                Failure::failed(format!("{path} is not understood: {why}. Mend or remove it."))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Logins::default()),
            Err(error) => Err(Failure::failed(format!("{path} cannot be read: {error}"))),
        }
    }

    /// Writes it whole or not at all, for this user's eyes only.
    ///
    /// # Errors
    /// [`Failure`] that names the file.
    pub(crate) fn write(&self, logins: &Logins) -> Result<(), Failure> {
        self.replace(&logins.to_text())
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", self.0.display())))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As other tools write it: with either way to indent.
    const WRITTEN_BY_OTHERS: &str = "auths:
    - gateway: http://127.0.0.1:8080
      auth: basic
      token: YWRtaW46cGFzcw==
    - gateway: https://cloud.example
      auth: oauth2
      token: e30
      options:
        - name: client_id
          value: 'x: y'
";

    const WRITTEN_BY_US: &str = include_str!("../../tests/golden/config.yml");

    #[test]
    fn files_of_other_tools_are_read_and_kept() {
        let mut logins = Logins::parse(WRITTEN_BY_OTHERS).unwrap();
        assert_eq!(logins.token("http://127.0.0.1:8080"), Some("YWRtaW46cGFzcw=="));
        logins.put("http://bramble.local", "YWRtaW46YWJj");
        assert_eq!(logins.to_text(), WRITTEN_BY_US);
        assert_eq!(Logins::parse(WRITTEN_BY_US).unwrap(), logins);
    }

    #[test]
    fn a_login_is_never_for_another_gateway() {
        let logins = Logins::parse(WRITTEN_BY_US).unwrap();
        for other in [
            "http://bramble.local:8080",
            "https://bramble.local",
            "http://bramble.loca",
            "https://cloud.example",
        ] {
            assert_eq!(logins.token(other), None, "{other}");
        }
        assert_eq!(logins.token("http://bramble.local"), Some("YWRtaW46YWJj"));
    }

    #[test]
    fn the_newest_login_is_the_last_and_the_only_one_for_its_gateway() {
        let mut logins = Logins::default();
        logins.put("http://a", "1");
        logins.put("http://b", "2");
        logins.put("http://a", "3");
        assert_eq!(
            (logins.newest(), logins.token("http://a")),
            (Some("http://a"), Some("3"))
        );
        assert!(logins.remove("http://a") && !logins.remove("http://a"));
        assert_eq!(logins.newest(), Some("http://b"));
    }

    #[test]
    fn an_empty_file_is_nobody_and_a_broken_one_is_said() {
        assert_eq!(Logins::parse("\n").unwrap(), Logins::default());
        assert_eq!(Logins::parse("auths: []\n").unwrap().newest(), None);
        assert_eq!(Logins::parse("auths:\n").unwrap().newest(), None);
        let error = Logins::parse("auths:\n- gateway: x\n- 7\n").unwrap_err();
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn the_environment_says_where_the_file_is() {
        let place = |vars: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = vars.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            LoginFile::from_environment(get).0
        };
        let home = ("HOME", "/home/x");
        assert_eq!(place(&[home]), Path::new("/home/x/.openfaas/config.yml"));
        assert_eq!(place(&[home, ("CI", "true")]), Path::new(".openfaas/config.yml"));
        assert_eq!(
            place(&[home, ("CI", "true"), ("OPENFAAS_CONFIG", "/c")]),
            Path::new("/c/config.yml")
        );
        assert_eq!(
            place(&[home, ("OPENFAAS_CONFIG", "~/c")]),
            Path::new("/home/x/c/config.yml")
        );
    }

    #[test]
    fn nobody_else_reads_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = LoginFile(folder.path().join("new/config.yml"));
        let mut logins = file.read().unwrap();
        logins.put("http://a", "1");
        file.write(&logins).unwrap();
        assert_eq!(file.read().unwrap(), logins);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(file.path()), mode(file.path().parent().unwrap())),
            (0o600, 0o700)
        );
    }
}
