//! Packs that were built for fetches.

use sea_orm_migration::prelude::*;

/// Adds the table of built packs.
#[derive(Debug)]
pub(super) struct Mpack;

impl MigrationName for Mpack {
    fn name(&self) -> &str {
        "m0010_mpack"
    }
}

const TABLE: &str = "musehub_fetch_mpack_cache";

#[async_trait::async_trait]
impl MigrationTrait for Mpack {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut packs = Table::create();
        packs
            .table(TABLE)
            .col(ColumnDef::new("cache_id").string_len(64).not_null().primary_key())
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("mpack_id").string_len(128).not_null())
            .col(ColumnDef::new("file").string_len(64).not_null())
            .col(ColumnDef::new("size").big_integer().not_null())
            .col(ColumnDef::new("commit_count").big_integer().not_null())
            .col(ColumnDef::new("snapshot_count").big_integer().not_null())
            .col(ColumnDef::new("object_count").big_integer().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("fk_fetch_mpack_cache_repo")
                    .from(TABLE, "repo_id")
                    .to("musehub_repos", "repo_id")
                    .on_delete(ForeignKeyAction::Cascade),
            );
        manager.create_table(packs).await?;
        let indexes: [(&str, &[&str]); 3] = [
            ("ix_fetch_mpack_cache_id", &["repo_id", "mpack_id", "expires_at"]),
            ("ix_fetch_mpack_cache_end", &["expires_at"]),
            ("ix_fetch_mpack_cache_file", &["file"]),
        ];
        for (name, columns) in indexes {
            let mut index = Index::create();
            index.name(name).table(TABLE);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
