//! Releases and tags, which commits have ids that nothing proves, and who holds a blob.

use sea_orm_migration::prelude::*;

/// Adds the tables of what people call commits.
#[derive(Debug)]
pub(super) struct ReleasesAndTags;

impl MigrationName for ReleasesAndTags {
    fn name(&self) -> &str {
        "m0009_releases_and_tags"
    }
}

fn of_repository(table: &'static str, key: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(key)
        .from(table, "repo_id")
        .to("musehub_repos", "repo_id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for ReleasesAndTags {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let opaque = ColumnDef::new("id_opaque").boolean().not_null().default(false).take();
        manager.alter_table(Table::alter().table("musehub_commits").add_column(opaque).take()).await?;

        let mut holders = Index::create();
        holders.name("ix_object_refs_object").table("musehub_object_refs").col("object_id").col("repo_id");
        manager.create_index(holders).await?;

        const RELEASES: &str = "musehub_releases";
        let mut releases = Table::create();
        releases
            .table(RELEASES)
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("tag").string_len(128).not_null())
            .col(ColumnDef::new("channel").string_len(16).not_null())
            .col(ColumnDef::new("is_draft").boolean().not_null())
            .col(ColumnDef::new("commit_id").string_len(128).not_null())
            .col(ColumnDef::new("publisher").string_len(64).not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("record").text().not_null())
            .primary_key(Index::create().col("repo_id").col("tag"))
            .foreign_key(&mut of_repository(RELEASES, "fk_releases_repo"));
        manager.create_table(releases).await?;
        let mut newest = Index::create();
        newest.name("ix_releases_newest").table(RELEASES).col("repo_id").col("created_at").col("tag");
        manager.create_index(newest).await?;

        const TAGS: &str = "musehub_wire_tags";
        let mut tags = Table::create();
        tags.table(TAGS)
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("label").string_len(255).not_null())
            .col(ColumnDef::new("commit_id").string_len(128).not_null())
            .col(ColumnDef::new("tag_id").string_len(64).not_null())
            .col(ColumnDef::new("created_at").string_len(64).not_null())
            .col(ColumnDef::new("tagger").string_len(64).not_null())
            .primary_key(Index::create().col("repo_id").col("label").col("commit_id"))
            .foreign_key(&mut of_repository(TAGS, "fk_wire_tags_repo"));
        manager.create_table(tags).await
    }
}
