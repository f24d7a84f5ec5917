//! Where a database is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;

/// Where a database is: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME?PARAMETER=VALUE`.
///
/// The path of SQLite is taken as it stands: relative where it does not begin with `/`, without escapes and
/// parameters. Parameters of PostgreSQL are `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host` (a directory of
/// sockets, too), `hostaddr`, `port`, `user`, `password`, `dbname`, `application_name`, `options[NAME]` (of the session)
/// and `statement-cache-capacity`. What is not said is taken from `PGHOST`, `PGPASSWORD` and their like, and from the
/// password file.
///
/// Neither `Display` nor `Debug` shows a password.
#[derive(Clone)]
pub struct DatabaseUrl(pub(super) Place);

/// What a URL comes to.
#[derive(Clone)]
pub(super) enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// Why a text is no URL of a database. Says nothing of the text itself, which may hold a password.
#[derive(Clone, thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DatabaseUrlError {
    /// Of another engine, or of none.
    #[error("the URL of a database begins with sqlite:// or postgres://")]
    Scheme,
    /// SQLite without a path, or with parameters.
    #[error("sqlite:// is followed by the path of a file, and by no parameters")]
    File,
    /// A parameter that means nothing here.
    #[error("the URL of the database has a parameter that is not known here; known are: {}", PARAMETERS.join(", "))]
    Parameter,
    /// Malformed.
    #[error("the URL of the database is malformed: {0}")]
    Malformed(String),
}

/// Parameters that the driver reads. It would log any other, value and all.
const PARAMETERS: [&str; 14] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
    "options[NAME]",
];

impl DatabaseUrl {
    /// A file of SQLite's, of whatever name.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Place::Sqlite(path.into()))
    }

    /// The file of a database of SQLite's.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(url: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return match path {
                "" => Err(DatabaseUrlError::File),
                _ if path.contains('?') => Err(DatabaseUrlError::File),
                _ => Ok(Self::sqlite(path)),
            };
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(DatabaseUrlError::Scheme);
        }
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        let known = |parameter: &str| {
            let name = parameter.split('=').next().unwrap_or_default();
            PARAMETERS.contains(&name) || name.starts_with("options[")
        };
        if !parameters.split('&').all(|parameter| parameter.is_empty() || known(parameter)) {
            return Err(DatabaseUrlError::Parameter);
        }
        let options: PgConnectOptions = url
            .parse()
            .map_err(|error: sea_orm::sqlx::Error| DatabaseUrlError::Malformed(error.to_string()))?;
        Ok(Self(Place::Postgres(Box::new(options))))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Place::Postgres(options) => f.write_str(&described(options)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who connects to what, without a password.
pub(super) fn described(options: &PgConnectOptions) -> String {
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    match options.get_socket() {
        Some(socket) => format!("postgres://{user}@localhost/{database}?host={}", socket.display()),
        None => format!("postgres://{user}@{}:{}/{database}", options.get_host(), options.get_port()),
    }
}
