//! Names of branches that some process is about to make.

use sea_orm_migration::prelude::*;

/// Adds the table of claimed names.
#[derive(Debug)]
pub(super) struct BranchClaims;

impl MigrationName for BranchClaims {
    fn name(&self) -> &str {
        "m0003_branch_claims"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for BranchClaims {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        const TABLE: &str = "musehub_branch_claims";
        let mut claims = Table::create();
        claims
            .table(TABLE)
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("name").string_len(255).not_null())
            .col(ColumnDef::new("claimed_until").big_integer().not_null())
            .primary_key(Index::create().col("repo_id").col("name"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_branch_claims_repo")
                    .from(TABLE, "repo_id")
                    .to("musehub_repos", "repo_id")
                    .on_delete(ForeignKeyAction::Cascade),
            );
        manager.create_table(claims).await
    }
}
