//! The catalogue that the entities declare. It owes nothing to the migrations, so that it finds out what they forget.

use std::collections::BTreeMap;

use sea_orm::sea_query::{ColumnType, ForeignKeyAction, Query, SqliteQueryBuilder, StringLen};
use sea_orm::{
    ColumnTrait, DbBackend, DynIden, EntityTrait, IdenStatic, Identity, Iterable, PrimaryKeyToColumn,
    RelationTrait,
};

use super::catalogue::{self, Catalogue, Columns, DataType, ForeignKey, Key, Kind, Reference, Table};
use crate::index::entity::{
    abuse, access, history, identity, intel, job, mpack, object, proposal, release, repo,
};

/// What an entity declares beside what sea-orm's attributes say.
pub(in crate::index) trait Declared: EntityTrait {
    /// Its indexes, other than those of its keys.
    const INDEXES: &'static [Index<Self::Column>] = &[];

    /// Whether SQLite keeps its rows in the index of the primary key: `WITHOUT ROWID`.
    const CLUSTERED: bool = false;
}

/// An index of a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::index) struct Index<C: 'static> {
    name: &'static str,
    columns: &'static [C],
    unique: bool,
    predicate: Option<&'static str>,
}

impl<C> Index<C> {
    /// An index of columns in this order, of all rows.
    pub(in crate::index) const fn of(name: &'static str, columns: &'static [C]) -> Self {
        Self { name, columns, unique: false, predicate: None }
    }

    /// No two rows have the same values in its columns.
    pub(in crate::index) const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// It has only the rows that fulfil a condition, written as briefly as SQL allows: without casts, and without
    /// parentheses that change nothing.
    pub(in crate::index) const fn only_where(self, predicate: &'static str) -> Self {
        Self { predicate: Some(predicate), ..self }
    }
}

/// What SQLite says of a table whose rows are in the index of its primary key.
pub(super) const CLUSTERED: &str = "WITHOUT ROWID";

/// Every table of the hub, as an engine has it.
pub(in crate::index) fn catalogue(engine: DbBackend) -> Catalogue {
    let tables = [
        table::<repo::repository::Entity>(engine),
        table::<history::branch::Entity>(engine),
        table::<history::branch_claim::Entity>(engine),
        table::<history::commit::Entity>(engine),
        table::<history::commit_graph::Entity>(engine),
        table::<history::snapshot::Entity>(engine),
        table::<object::object::Entity>(engine),
        table::<object::object_ref::Entity>(engine),
        table::<release::release::Entity>(engine),
        table::<release::tag::Entity>(engine),
        table::<identity::identity::Entity>(engine),
        table::<identity::token::Entity>(engine),
        table::<access::collaborator::Entity>(engine),
        table::<access::auth_key::Entity>(engine),
        table::<access::spent_proof::Entity>(engine),
        table::<access::secret::Entity>(engine),
        table::<job::background_job::Entity>(engine),
        table::<mpack::fetch_pack::Entity>(engine),
        table::<intel::breakage_issue::Entity>(engine),
        table::<intel::breakage_meta::Entity>(engine),
        table::<intel::breakage_scan::Entity>(engine),
        table::<intel::fact::Entity>(engine),
        table::<proposal::proposal::Entity>(engine),
        table::<proposal::entry::Entity>(engine),
        table::<proposal::review::Entity>(engine),
        table::<proposal::check::Entity>(engine),
        table::<abuse::rate_limit::Entity>(engine),
    ];
    Catalogue { tables: tables.into_iter().collect() }
}

/// The table of one entity.
pub(super) fn table<E: Declared>(engine: DbBackend) -> (String, Table) {
    let key = E::PrimaryKey::iter().map(|key| name(key.into_column())).collect();
    let unique = E::Column::iter().filter(|column| column.def().is_unique());
    let clustered = E::CLUSTERED && engine == DbBackend::Sqlite;
    let mut table = Table {
        kind: if clustered { Kind::Table(CLUSTERED.to_owned()) } else { Kind::default() },
        columns: E::Column::iter().map(|declared| column(declared, engine)).collect(),
        primary_key: Columns(key).into(),
        uniques: unique.map(|column| Key::from(Columns(vec![name(column)]))).collect(),
        foreign_keys: E::Relation::iter().filter_map(|relation| foreign_key(&relation)).collect(),
        indexes: E::INDEXES.iter().map(index).collect(),
        extras: BTreeMap::new(),
    };
    table.uniques.sort();
    table.foreign_keys.sort();
    (E::default().table_name().to_owned(), table)
}

fn name(column: impl IdenStatic) -> String {
    column.as_str().to_owned()
}

fn column(column: impl ColumnTrait, engine: DbBackend) -> (String, catalogue::Column) {
    let definition = column.def();
    // As both engines read it.
    let text = |default| Query::select().expr(default).to_string(SqliteQueryBuilder);
    let default = definition.get_column_default().cloned().map(text);
    let declared = catalogue::Column {
        data_type: data_type(definition.get_column_type(), engine),
        nullable: definition.is_null(),
        default: default.map(|select| select.trim_start_matches("SELECT ").to_owned()),
    };
    (name(column), declared)
}

fn data_type(declared: &ColumnType, engine: DbBackend) -> DataType {
    match declared {
        // SQLite has one.
        ColumnType::SmallInteger | ColumnType::BigInteger if engine == DbBackend::Sqlite => DataType::Integer,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::SmallInteger => DataType::SmallInt,
        ColumnType::Integer => DataType::Integer,
        ColumnType::BigInteger => DataType::BigInt,
        ColumnType::Double => DataType::Double,
        ColumnType::Text => DataType::Text,
        ColumnType::String(StringLen::N(length)) => DataType::Varchar(Some(*length)),
        ColumnType::String(_) => DataType::Varchar(None),
        ColumnType::Json => DataType::Json,
        ColumnType::JsonBinary => DataType::Jsonb,
        ColumnType::Blob => DataType::Bytes,
        other => DataType::Other(format!("{other:?}, which the catalogue has no name for")),
    }
}

fn foreign_key(relation: &impl RelationTrait) -> Option<ForeignKey> {
    let relation = relation.def();
    if relation.is_owner || relation.skip_fk {
        return None;
    }
    let table = relation.to_tbl.sea_orm_table().to_string();
    let reference = Reference {
        columns: columns(&relation.to_col),
        on_delete: action(relation.on_delete),
        on_update: action(relation.on_update),
        peculiarity: String::new(),
    };
    Some(ForeignKey { columns: columns(&relation.from_col), table, reference })
}

fn columns(identity: &Identity) -> Columns {
    Columns(identity.iter().map(DynIden::to_string).collect())
}

fn action(action: Option<ForeignKeyAction>) -> String {
    let action = match action {
        None | Some(ForeignKeyAction::NoAction) => "no action",
        Some(ForeignKeyAction::Restrict) => "restrict",
        Some(ForeignKeyAction::Cascade) => "cascade",
        Some(ForeignKeyAction::SetNull) => "set null",
        Some(ForeignKeyAction::SetDefault) => "set default",
        Some(_) => "an action that the catalogue has no name for",
    };
    action.to_owned()
}

fn index<C: IdenStatic>(index: &Index<C>) -> (String, catalogue::Index) {
    let declared = catalogue::Index {
        columns: Columns(index.columns.iter().map(|column| column.as_str().to_owned()).collect()),
        unique: index.unique,
        predicate: index.predicate.map(str::to_owned),
        peculiarity: String::new(),
    };
    (index.name.to_owned(), declared)
}
