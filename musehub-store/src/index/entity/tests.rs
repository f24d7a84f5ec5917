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

/// What stands between backticks and names a method: `Trait::method`.
fn reads(documentation: &str) -> Vec<(&str, &str)> {
    documentation.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

/// The methods that the index has, each as `Trait::method` (or `SqlIndex::method`) with the source that has it.
fn methods() -> BTreeMap<String, String> {
    let mut methods = BTreeMap::new();
    for (_, source) in sources("") {
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
                methods.insert(format!("{of}::{function}"), source.clone());
            }
        }
    }
    methods
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
    let methods = methods();
    for Entity { table, documentation, .. } in documented() {
        let reads = reads(&documentation);
        assert!(!reads.is_empty(), "{table} names no read, as `Port::method`: {documentation}");
        for (port, method) in reads {
            let source = methods.get(&format!("{port}::{method}"));
            let source =
                source.unwrap_or_else(|| panic!("{table} names {port}::{method}, which is not there"));
            assert!(source.contains(&table), "{port}::{method} does not use {table}");
        }
    }
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
    assert_eq!(reads(&entity.documentation), [("Port", "all"), ("Port", "one")]);
    let columns = [("ref", " Its id."), ("bare", "")];
    let columns = columns.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter().collect();
    assert_eq!((entity.table.as_str(), entity.columns), ("t", columns));
}
