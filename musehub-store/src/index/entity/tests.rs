//! Every table and column says what it is for, and every table which reads use it: read from the sources of the
//! entities and compared with a live database.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::index::{connect, migrate, schema};

/// The longest source of entities.
const LINES: usize = 400;

/// A table, as its entity's source has it.
#[derive(Debug, Default, PartialEq)]
struct Entity {
    table: String,
    documentation: String,
    /// What each column is documented as, by its name in the database.
    columns: BTreeMap<String, String>,
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/index").join(folder);
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            sources.push((path, text));
        }
    }
    sources
}

/// The value of `name = "…"` within attributes.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = attributes.split_once(&format!("{name} = \""))?;
    after.split('"').next()
}

/// Reads every `struct Model` with its documentation, its attributes and its fields.
fn entities(source: &str) -> Vec<Entity> {
    let mut entities: Vec<Entity> = Vec::new();
    let (mut documentation, mut attributes) = (String::new(), String::new());
    let mut inside = false;
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("///") {
            documentation.push_str(text);
            continue;
        }
        if line.starts_with("#[") {
            attributes.push_str(line);
            while !attributes.ends_with(']') {
                attributes.push_str(lines.next().expect("an attribute ends"));
            }
            continue;
        }
        if line == "pub struct Model {" {
            inside = true;
            let table = attribute(&attributes, "table_name").expect("a model names its table").to_owned();
            let documentation = std::mem::take(&mut documentation);
            entities.push(Entity { table, documentation, columns: BTreeMap::new() });
        } else if line == "}" {
            inside = false;
        } else if let (true, Some(field)) = (inside, line.strip_prefix("pub ")) {
            let name = field.split(':').next().unwrap();
            let name = attribute(&attributes, "column_name").unwrap_or(name).to_owned();
            let entity = entities.last_mut().expect("a field is inside of a model");
            entity.columns.insert(name, std::mem::take(&mut documentation));
        }
        documentation.clear();
        attributes.clear();
    }
    entities
}

/// What stands between backticks: reads are `Trait::method`.
fn quoted(documentation: &str) -> impl Iterator<Item = &str> {
    documentation.split('`').skip(1).step_by(2)
}

/// The name of what a line begins and how that ends: a function, a constant or a macro.
fn begun(line: &str) -> Option<(&str, String)> {
    let indentation = &line[..line.len() - line.trim_start().len()];
    ["fn ", "macro_rules! ", "const "].iter().find_map(|keyword| {
        let (before, after) = line.split_once(keyword)?;
        let begins = |word: &str| ["", "async", "const"].contains(&word) || word.starts_with("pub");
        let name = after.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        let end = if *keyword == "const " { ";".to_owned() } else { format!("{indentation}}}") };
        before.split(' ').all(begins).then_some((name, end))
    })
}

/// The functions, constants and macros of a source, by their names. Those of one name are one text.
fn items(source: &str) -> BTreeMap<&str, String> {
    let mut items: BTreeMap<&str, String> = BTreeMap::new();
    let mut current: Option<(&str, String)> = None;
    for line in source.lines() {
        current = current.or_else(|| begun(line));
        let Some((name, end)) = &current else { continue };
        let item = items.entry(name).or_default();
        item.push_str(line);
        item.push('\n');
        if line == end || line.ends_with("{}") || (end == ";" && line.ends_with(';')) {
            current = None;
        }
    }
    items
}

/// An item with every one of its source that it calls or names, and those that these do.
fn with_what_it_uses(items: &BTreeMap<&str, String>, name: &str) -> String {
    let (mut text, mut done, mut ahead) = (String::new(), BTreeSet::new(), vec![name]);
    while let Some(name) = ahead.pop() {
        let Some(item) = items.get(name).filter(|_| done.insert(name)) else { continue };
        let words = item.split(|c: char| !c.is_alphanumeric() && c != '_');
        let called = |word: &str| {
            let called = ["(", "!("].iter().any(|call| item.contains(&format!("{word}{call}")));
            called || !word.contains(char::is_lowercase)
        };
        ahead.extend(words.filter(|word| !word.is_empty() && called(word)));
        text.push_str(item);
    }
    text
}

/// The methods that the index has, each as `Trait::method` (or `SqlIndex::method`), with all that it uses of its source.
fn methods<'a>(sources: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut methods = BTreeMap::new();
    for source in sources {
        let items = items(source);
        let mut of = None;
        for line in source.lines() {
            if let Some(block) = line.strip_prefix("impl ").and_then(|line| line.strip_suffix('{')) {
                let block = block.trim();
                of = block.strip_suffix(" for SqlIndex").or((block == "SqlIndex").then_some(block));
            } else if line == "}" {
                of = None;
            }
            let function = line.split_once("fn ").and_then(|(_, rest)| rest.split(['(', '<']).next());
            if let (Some(of), Some(function)) = (of, function) {
                methods.insert(format!("{of}::{function}"), with_what_it_uses(&items, function));
            }
        }
    }
    methods
}

/// What is wrong with the reads that a table names.
fn wrong_reads(
    Entity { table, documentation, .. }: &Entity,
    methods: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let named: Vec<&str> = quoted(documentation).filter(|code| code.contains("::")).collect();
    if named.is_empty() {
        wrong.push(format!("{table} names no read, as `Port::method`"));
    }
    for read in named {
        match methods.get(read) {
            None => wrong.push(format!("{table} names {read}, which is not there")),
            Some(source) if !uses(source, table) => wrong.push(format!("{read} does not use {table}")),
            Some(_) => {}
        }
    }
    let bare = |code: &&str| methods.keys().any(|method| method.ends_with(&format!("::{code}")));
    wrong.extend(
        quoted(documentation).filter(bare).map(|code| format!("{table} names {code} without its port")),
    );
    wrong
}

/// Whether a table is named, and not only another whose name goes on.
fn uses(source: &str, table: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    source.match_indices(table).any(|(at, _)| !goes_on(&source[at + table.len()..]))
}

fn documented() -> Vec<Entity> {
    sources("entity").iter().flat_map(|(_, source)| entities(source)).collect()
}

#[tokio::test]
async fn every_table_and_column_is_documented() {
    let database = connect::sqlite::in_memory().await.unwrap();
    migrate(&database).await.unwrap();
    let live = schema::read(&database).await.unwrap();

    let documented = documented();
    let tables: BTreeSet<&str> = documented.iter().map(|entity| entity.table.as_str()).collect();
    let is: BTreeSet<&str> =
        live.tables.keys().map(String::as_str).filter(|name| name.starts_with("musehub_")).collect();
    assert_eq!(is, tables);
    for entity in &documented {
        let columns: BTreeSet<&String> = live.tables[&entity.table].columns.keys().collect();
        assert_eq!(columns, entity.columns.keys().collect(), "{}", entity.table);
        for (column, documentation) in &entity.columns {
            assert!(!documentation.trim().is_empty(), "{}.{column} is not documented", entity.table);
        }
    }
}

#[test]
fn every_table_names_reads_that_are_there_and_use_it() {
    let sources = sources("");
    let methods = methods(sources.iter().map(|(_, source)| source.as_str()));
    let wrong: Vec<String> = documented().iter().flat_map(|entity| wrong_reads(entity, &methods)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_read_that_does_not_use_its_table_is_wrong() {
    let source = r#"
const ALL: &str = "\
    SELECT * FROM songs";
const TITLES: &str = "SELECT title FROM songs_titles";
macro_rules! newest {
    () => {
        "SELECT * FROM songs ORDER BY number"
    };
}
pub(super) const NEWEST: &str = concat!(newest!(), " LIMIT 1");

impl Songs for SqlIndex {
    async fn all(&self) -> Vec<Song> {
        self.rows(ALL)
    }

    async fn titles(&self) -> Vec<String> {
        self.rows(TITLES)
    }

    async fn one(&self) -> Song {
        first(self)
    }

    async fn newest(&self) -> Song {
        self.rows(NEWEST)
    }
}

fn first(index: &SqlIndex) -> Song {
    index.rows("SELECT * FROM songs LIMIT 1")
}
"#;
    let methods = methods([source]);
    let wrong = |documentation: &str| {
        let documentation = documentation.to_owned();
        wrong_reads(&Entity { table: "songs".to_owned(), documentation, ..Entity::default() }, &methods)
    };
    assert_eq!(
        wrong(
            "Read by a constant (`Songs::all`), a function (`Songs::one`) or a macro (`Songs::newest`), by `id`."
        ),
        <[&str; 0]>::default()
    );
    assert_eq!(wrong("Read (`Songs::titles`)."), ["Songs::titles does not use songs"]);
    assert_eq!(wrong("Read (`Songs::gone`)."), ["songs names Songs::gone, which is not there"]);
    assert_eq!(wrong("Read (`Songs::all`), (`titles`)."), ["songs names titles without its port"]);
    assert_eq!(wrong("Read."), ["songs names no read, as `Port::method`"]);
}

#[test]
fn a_source_of_entities_is_short() {
    for (path, source) in sources("entity") {
        let lines = source.lines().count();
        assert!(lines <= LINES, "{}: {lines} lines; split it by what the tables are about", path.display());
    }
}

#[test]
fn the_reader_finds_what_is_there_and_what_lacks() {
    let source = r#"
        /// Read whole (`Port::all`) and
        /// one by one (`Port::one`).
        #[derive(DeriveEntityModel)]
        #[sea_orm(table_name = "t")]
        pub struct Model {
            /// Its id.
            #[sea_orm(
                primary_key,
                column_name = "ref",
            )]
            pub id: String,
            pub bare: i64,
        }
        pub struct Other {
            pub no_column: i64,
        }"#;
    let [entity] = entities(source).try_into().unwrap();
    assert_eq!(quoted(&entity.documentation).collect::<Vec<_>>(), ["Port::all", "Port::one"]);
    let columns = [("ref", " Its id."), ("bare", "")];
    let columns = columns.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter().collect();
    assert_eq!((entity.table.as_str(), entity.columns), ("t", columns));
}
