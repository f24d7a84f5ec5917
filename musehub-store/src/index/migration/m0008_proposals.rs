//! Proposals, their conversations, reviews, and what is known of their merges.

use sea_orm_migration::prelude::*;

/// Makes the tables of proposals.
#[derive(Debug)]
pub(super) struct Proposals;

impl MigrationName for Proposals {
    fn name(&self) -> &str {
        "m0008_proposals"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Proposals {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        proposals(manager).await?;
        entries(manager).await?;
        reviews(manager).await?;
        checks(manager).await
    }
}

async fn proposals(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    const TABLE: &str = "musehub_proposals";
    let mut table = Table::create();
    table
        .table(TABLE)
        .col(word("repo_id", 128).not_null())
        .col(integer("number").not_null())
        .col(integer("version").not_null())
        .col(ColumnDef::new("title").text().not_null())
        .col(ColumnDef::new("description").text().not_null())
        .col(word("from_branch", 255).not_null())
        .col(word("to_branch", 255).not_null())
        .col(word("author", 64).not_null())
        .col(word("author_key", 64).not_null())
        .col(word("state", 16).not_null())
        .col(ColumnDef::new("draft").boolean().not_null())
        .col(word("head_commit_id", 128).not_null())
        .col(word("base_commit_id", 128).not_null())
        .col(word("merge_commit_id", 128))
        .col(word("merge_source_id", 128))
        .col(word("merge_target_id", 128))
        .col(word("merged_by", 64))
        .col(integer("merged_at"))
        .col(integer("created_at").not_null())
        .col(integer("updated_at").not_null())
        .col(integer("closed_at"))
        .col(integer("entries").not_null())
        .primary_key(Index::create().col("repo_id").col("number"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_proposals_repo")
                .from(TABLE, "repo_id")
                .to("musehub_repos", "repo_id")
                .on_delete(ForeignKeyAction::Cascade),
        );
    manager.create_table(table).await?;
    let open = Index::create()
        .name("ux_proposals_open")
        .table(TABLE)
        .col("repo_id")
        .col("from_branch")
        .col("to_branch")
        .unique()
        .and_where(Expr::col("state").eq("open"))
        .take();
    manager.create_index(open).await?;
    for (name, column) in [
        ("ix_proposals_state", "state"),
        ("ix_proposals_author", "author_key"),
        ("ix_proposals_source", "from_branch"),
        ("ix_proposals_target", "to_branch"),
    ] {
        let index = Index::create().name(name).table(TABLE).col("repo_id").col(column).col("number").take();
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn entries(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = of_proposal("musehub_proposal_entries", "fk_proposal_entries_proposal");
    table
        .col(integer("entry_id").not_null())
        .col(word("kind", 32).not_null())
        .col(word("author", 64))
        .col(ColumnDef::new("body").text().not_null())
        .col(word("commit_id", 128))
        .col(ColumnDef::new("subject").text())
        .col(integer("created_at").not_null())
        .col(integer("edited_at"))
        .col(ColumnDef::new("deleted").boolean().not_null())
        .primary_key(Index::create().col("repo_id").col("number").col("entry_id"));
    manager.create_table(table).await
}

async fn reviews(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = of_proposal("musehub_proposal_reviews", "fk_proposal_reviews_proposal");
    table
        .col(word("reviewer_key", 64).not_null())
        .col(word("reviewer", 64).not_null())
        .col(word("verdict", 32).not_null())
        .col(word("commit_id", 128).not_null())
        .col(integer("entry_id").not_null())
        .col(integer("created_at").not_null())
        .primary_key(Index::create().col("repo_id").col("number").col("reviewer_key"));
    manager.create_table(table).await
}

async fn checks(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = of_proposal("musehub_proposal_checks", "fk_proposal_checks_proposal");
    table
        .col(word("source_id", 128).not_null())
        .col(word("target_id", 128).not_null())
        .col(ColumnDef::new("found").text().not_null())
        .primary_key(Index::create().col("repo_id").col("number"));
    manager.create_table(table).await
}

/// A table whose rows belong to a proposal.
fn of_proposal(name: &'static str, foreign_key: &str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name).col(word("repo_id", 128).not_null()).col(integer("number").not_null()).foreign_key(
        ForeignKey::create()
            .name(foreign_key)
            .from(name, ("repo_id", "number"))
            .to("musehub_proposals", ("repo_id", "number"))
            .on_delete(ForeignKeyAction::Cascade),
    );
    table
}

fn word(name: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(name).string_len(length).take()
}

fn integer(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}
