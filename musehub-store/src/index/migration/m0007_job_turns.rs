//! Jobs have a priority, may come in turn, and may be cancelled.

use sea_orm_migration::prelude::*;

/// Adds what the queue needs for that, and the indexes of its lists.
#[derive(Debug)]
pub(super) struct JobTurns;

const TABLE: &str = "musehub_background_jobs";

impl MigrationName for JobTurns {
    fn name(&self) -> &str {
        "m0007_job_turns"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for JobTurns {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite adds no more with one statement.
        for mut column in [
            ColumnDef::new("priority").big_integer().not_null().default(1).take(),
            ColumnDef::new("turn").big_integer().null().take(),
            ColumnDef::new("cancel_requested_at").big_integer().null().take(),
        ] {
            manager.alter_table(Table::alter().table(TABLE).add_column(&mut column).take()).await?;
        }
        let mut old = Index::drop();
        old.name("ix_background_jobs_claim").table(TABLE);
        manager.drop_index(old).await?;
        let open = || Expr::col("status").is_in(["pending", "running"]);
        let claim = ["priority", "created_at", "run_at", "job_type"];
        manager.create_index(index("ix_background_jobs_claim", &claim).and_where(open()).take()).await?;
        let turn = ["repo_id", "job_type", "turn"];
        manager.create_index(index("ix_background_jobs_turn", &turn).and_where(open()).take()).await?;
        let repo = ["repo_id", "created_at", "job_id"];
        manager.create_index(index("ix_background_jobs_repo", &repo)).await?;
        let over = Expr::col("status").is_in(["done", "failed", "cancelled"]);
        let list = ["status", "created_at", "job_id"];
        manager.create_index(index("ix_background_jobs_over", &list).and_where(over).take()).await
    }
}

fn index(name: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(*column);
    }
    index.name(name).table(TABLE).take()
}
