//! Column, subject and help of issues, and the sums of past scans.

use sea_orm_migration::prelude::*;

/// Adds to the issues of breakage what groups them and what to do about them.
#[derive(Debug)]
pub(super) struct BreakageHelp;

impl MigrationName for BreakageHelp {
    fn name(&self) -> &str {
        "m0002_breakage_help"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for BreakageHelp {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite adds no more with one statement.
        for mut column in [
            ColumnDef::new("column_number").big_integer().not_null().default(1).take(),
            ColumnDef::new("subject").text().not_null().default("").take(),
            ColumnDef::new("help").text().not_null().default("{}").take(),
        ] {
            let alter = Table::alter().table("musehub_intel_breakage_issues").add_column(&mut column).take();
            manager.alter_table(alter).await?;
        }
        let mut scans = Table::create();
        scans
            .table("musehub_intel_breakage_scans")
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("ref").string_len(128).not_null());
        for sum in ["total_issues", "warning_count", "error_count", "file_count", "scanned_at"] {
            scans.col(ColumnDef::new(sum).big_integer().not_null());
        }
        scans.primary_key(Index::create().col("repo_id").col("ref")).foreign_key(
            ForeignKey::create()
                .name("fk_intel_breakage_scans_repo")
                .from("musehub_intel_breakage_scans", "repo_id")
                .to("musehub_repos", "repo_id")
                .on_delete(ForeignKeyAction::Cascade),
        );
        manager.create_table(scans).await?;
        let known = "INSERT INTO musehub_intel_breakage_scans \
            (repo_id, ref, total_issues, warning_count, error_count, file_count, scanned_at) \
            SELECT repo_id, ref, total_issues, warning_count, error_count, file_count, scanned_at \
            FROM musehub_intel_breakage_meta";
        manager.get_connection().execute_unprepared(known).await?;
        Ok(())
    }
}
