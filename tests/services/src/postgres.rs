//! PostgreSQL: one server for all tests of a process, and a database for each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// Where the address of a server is that is there already: what `scripts/with-postgres` says.
const RUNNING: &str = "MUSEHUB_TEST_POSTGRES";

/// The URL of a new, empty database. It is there until the thread of the test ends.
pub async fn database() -> String {
    create("").await
}

/// The URL of a new, empty database whose own collation is not the order of code points.
pub async fn database_of_a_language() -> String {
    create("TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").await
}

/// The URL of a new, empty database of an encoding that is not UTF-8.
pub async fn database_in_latin1() -> String {
    create("TEMPLATE template0 ENCODING 'LATIN1'").await
}

/// The URL of the database that belongs to a directory of data: a new one for the first who asks. It is there until the
/// server stops.
pub fn database_of(directory: &Path) -> String {
    let mut databases = OF_DIRECTORIES.lock().unwrap();
    databases.entry(directory.to_owned()).or_insert_with(lasting).clone()
}

/// Gives a directory of data another database, a new one.
pub fn lose_database_of(directory: &Path) {
    OF_DIRECTORIES.lock().unwrap().insert(directory.to_owned(), lasting());
}

static OF_DIRECTORIES: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());

/// A database for callers that may be within a runtime and cannot wait in it.
fn lasting() -> String {
    let create = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = runtime.block_on(create(""));
        IN_USE.with_borrow_mut(|databases| databases.0.clear());
        url
    };
    std::thread::spawn(create).join().unwrap()
}

/// Runs a statement on a connection of its own.
pub async fn execute(url: &str, statement: &str) {
    let mut connection = connect(url).await;
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}

/// A connection that is the test's alone.
pub async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.disable_statement_logging().connect().await.unwrap()
}

/// The URL of a new database with everything that another has; whoever is connected to that one is cut off.
pub async fn copy(source: &str) -> String {
    let source = name(source);
    let leave = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'");
    execute(&url("postgres"), &leave).await;
    create(&format!("TEMPLATE {source}")).await
}

/// Removes a database before its test ends, for tests that make many.
pub async fn remove(database: &str) {
    let name = name(database);
    IN_USE.with_borrow_mut(|databases| databases.0.retain(|other| other != name));
    execute(&url("postgres"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
}

fn name(database: &str) -> &str {
    database.rsplit_once('/').expect("a URL of this module ends in a name").1
}

async fn create(properties: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("case_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = connect(&url("postgres")).await;
    let done = std::mem::take(&mut *DONE.lock().unwrap());
    for done in done {
        let drop = format!("DROP DATABASE IF EXISTS {done} WITH (FORCE)");
        connection.execute(AssertSqlSafe(drop)).await.unwrap();
    }
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name} {properties}"))).await.unwrap();
    connection.close().await.unwrap();
    IN_USE.with_borrow_mut(|databases| databases.0.push(name.clone()));
    url(&name)
}

/// Databases of tests that have ended: dropped before the next is made, so that they do not pile up.
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    static IN_USE: RefCell<Databases> = const { RefCell::new(Databases(Vec::new())) };
}

/// The databases of a test, which has a thread to itself.
struct Databases(Vec<String>);

impl Drop for Databases {
    fn drop(&mut self) {
        DONE.lock().unwrap().append(&mut self.0);
    }
}

fn url(database: &str) -> String {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    let address = ADDRESS.get_or_init(|| std::env::var(RUNNING).unwrap_or_else(|_| start()));
    format!("{address}{database}")
}

/// Starts a server that stops when this process has ended, in whatever way: it then reads the end of its input.
fn start() -> String {
    static SERVER: OnceLock<Child> = OnceLock::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-postgres");
    let print_and_wait = format!("echo \"${RUNNING}\" && exec cat >/dev/null");
    let mut command = Command::new(script);
    command.args(["sh", "-c", &print_and_wait]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Out of reach of what a terminal or a test runner sends to the tests.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut server = command.spawn().unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(!address.is_empty(), "the script has said why there is no server");
    SERVER.set(server).expect("a server is started once");
    address.trim_end().to_owned()
}
