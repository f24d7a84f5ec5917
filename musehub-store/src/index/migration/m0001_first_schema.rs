//! Repositories, history, identities, jobs and breakage.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Makes every table of the first release.
#[derive(Debug)]
pub(super) struct FirstSchema;

impl MigrationName for FirstSchema {
    fn name(&self) -> &str {
        "m0001_first_schema"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for FirstSchema {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        repositories(manager).await?;
        branches(manager).await?;
        commits(manager).await?;
        snapshots(manager).await?;
        objects(manager).await?;
        identities(manager).await?;
        jobs(manager).await?;
        breakage(manager).await?;
        facts(manager).await
    }
}

async fn repositories(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = table("musehub_repos");
    table
        .col(id("repo_id").primary_key())
        .col(name("owner", 64))
        .col(name("slug", 64))
        .col(name("owner_key", 64))
        .col(name("slug_key", 64))
        .col(integer("version"))
        .col(name("visibility", 16))
        .col(text("description"))
        .col(name("scheme", 16).null())
        .col(name("default_branch", 255).null())
        .col(integer("created_at"))
        .col(ColumnDef::new("deleted").boolean().not_null());
    manager.create_table(table).await?;
    let name = index("ux_repos_name", "musehub_repos", &["owner_key", "slug_key"]).unique().take();
    manager.create_index(name).await?;
    let listing = ["visibility", "deleted", "owner_key", "slug_key"];
    manager.create_index(index("ix_repos_listing", "musehub_repos", &listing)).await
}

async fn branches(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = clustered(manager, "musehub_branches");
    table
        .col(id("repo_id"))
        .col(name("name", 255))
        .col(id("head_commit_id").null())
        .col(integer("sequence"))
        .col(integer("moved_at"))
        .primary_key(&mut key(&["repo_id", "name"]))
        .foreign_key(&mut of_repository("musehub_branches"));
    manager.create_table(table).await
}

async fn commits(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut commits = table("musehub_commits");
    commits
        .col(id("repo_id"))
        .col(id("commit_id"))
        .col(id("snapshot_id"))
        .col(text("author"))
        .col(text("message"))
        .col(text("committed_at"))
        .col(text("agent_id"))
        .col(text("branch"))
        .col(integer("size"))
        .col(text("storage_uri"))
        .primary_key(&mut key(&["repo_id", "commit_id"]))
        .foreign_key(&mut of_repository("musehub_commits"));
    manager.create_table(commits).await?;
    manager.create_index(index("ix_commits_id", "musehub_commits", &["commit_id"])).await?;

    let mut graph = clustered(manager, "musehub_commit_graph");
    graph
        .col(id("repo_id"))
        .col(id("commit_id"))
        .col(integer("position"))
        .col(id("parent_id").null())
        .col(integer("generation"))
        .primary_key(&mut key(&["repo_id", "commit_id", "position"]))
        .foreign_key(&mut of_repository("musehub_commit_graph"));
    manager.create_table(graph).await
}

async fn snapshots(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = clustered(manager, "musehub_snapshots");
    table
        .col(id("repo_id"))
        .col(id("snapshot_id"))
        .col(integer("entry_count"))
        .col(integer("size"))
        .col(text("storage_uri"))
        .primary_key(&mut key(&["repo_id", "snapshot_id"]))
        .foreign_key(&mut of_repository("musehub_snapshots"));
    manager.create_table(table).await?;
    manager.create_index(index("ix_snapshots_id", "musehub_snapshots", &["snapshot_id"])).await
}

async fn objects(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut objects = clustered(manager, "musehub_objects");
    objects.col(id("object_id").primary_key()).col(integer("size")).col(text("storage_uri"));
    manager.create_table(objects).await?;

    let mut refs = clustered(manager, "musehub_object_refs");
    refs.col(id("repo_id"))
        .col(id("object_id"))
        .primary_key(&mut key(&["repo_id", "object_id"]))
        .foreign_key(&mut of_repository("musehub_object_refs"));
    manager.create_table(refs).await
}

async fn identities(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut identities = table("musehub_identities");
    identities
        .col(name("handle", 64).primary_key())
        .col(name("handle_key", 64).unique_key())
        .col(integer("created_at"));
    manager.create_table(identities).await?;

    let mut tokens = clustered(manager, "musehub_tokens");
    let mut of_identity = ForeignKey::create();
    of_identity
        .name("fk_tokens_identity")
        .from("musehub_tokens", "handle")
        .to("musehub_identities", "handle")
        .on_delete(ForeignKeyAction::Cascade);
    tokens
        .col(name("token_hash", 64).primary_key())
        .col(name("handle", 64))
        .col(integer("created_at"))
        .col(integer("revoked_at").null())
        .foreign_key(&mut of_identity);
    manager.create_table(tokens).await?;
    manager.create_index(index("ix_tokens_handle", "musehub_tokens", &["handle"])).await
}

async fn jobs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = table("musehub_background_jobs");
    table
        .col(id("job_id").primary_key())
        .col(id("repo_id"))
        .col(name("job_type", 64))
        .col(text("payload"))
        .col(name("status", 16))
        .col(integer("attempt"))
        .col(integer("run_at"))
        .col(integer("lease_until").null())
        .col(text("worker").null())
        .col(text("error").null())
        .col(text("summary").null())
        .col(integer("created_at"))
        .col(integer("updated_at"))
        .foreign_key(&mut of_repository("musehub_background_jobs"));
    manager.create_table(table).await?;
    // Only of what may be claimed, oldest first: finished jobs cost a claim nothing.
    let claim =
        index("ix_background_jobs_claim", "musehub_background_jobs", &["created_at", "run_at", "job_type"])
            .and_where(Expr::col("status").is_in(["pending", "running"]))
            .take();
    manager.create_index(claim).await?;
    let latest = ["repo_id", "job_type", "created_at"];
    manager.create_index(index("ix_background_jobs_latest", "musehub_background_jobs", &latest)).await
}

async fn breakage(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut issues = table("musehub_intel_breakage_issues");
    issues
        .col(id("issue_id").primary_key())
        .col(id("repo_id"))
        .col(name("issue_type", 64))
        .col(text("file_path"))
        .col(integer("line"))
        .col(text("description"))
        .col(name("severity", 16))
        .col(id("ref"))
        .foreign_key(&mut of_repository("musehub_intel_breakage_issues"));
    manager.create_table(issues).await?;
    let by_repo = index("ix_intel_breakage_issues_repo", "musehub_intel_breakage_issues", &["repo_id"]);
    manager.create_index(by_repo).await?;
    let by_type = index(
        "ix_intel_breakage_issues_repo_type",
        "musehub_intel_breakage_issues",
        &["repo_id", "issue_type"],
    );
    manager.create_index(by_type).await?;

    let mut meta = table("musehub_intel_breakage_meta");
    meta.col(id("repo_id").primary_key())
        .col(integer("total_issues"))
        .col(integer("warning_count"))
        .col(integer("error_count"))
        .col(integer("file_count"))
        .col(id("ref"))
        .col(integer("scanned_at"))
        .foreign_key(&mut of_repository("musehub_intel_breakage_meta"));
    manager.create_table(meta).await
}

async fn facts(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = table("musehub_intel_facts");
    table
        .col(name("kind", 64))
        .col(id("blob_id"))
        .col(text("facts"))
        .primary_key(&mut key(&["kind", "blob_id"]));
    manager.create_table(table).await
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).take()
}

/// A table of narrow rows that are read by their key alone. SQLite keeps them in the index of the key, in half the
/// space.
fn clustered(manager: &SchemaManager<'_>, name: &'static str) -> TableCreateStatement {
    let mut table = table(name);
    if manager.get_database_backend() == DbBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table
}

fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(*column);
    }
    key
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    key(columns).name(name).table(table).take()
}

fn of_repository(table: &'static str) -> ForeignKeyCreateStatement {
    let name = format!("fk_{}_repo", table.trim_start_matches("musehub_"));
    ForeignKey::create()
        .name(name)
        .from(table, "repo_id")
        .to("musehub_repos", "repo_id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

fn id(column: &'static str) -> ColumnDef {
    name(column, 128)
}

fn name(column: &'static str, length: u32) -> ColumnDef {
    ColumnDef::new(column).string_len(length).not_null().take()
}

fn text(column: &'static str) -> ColumnDef {
    ColumnDef::new(column).text().not_null().take()
}

fn integer(column: &'static str) -> ColumnDef {
    ColumnDef::new(column).big_integer().not_null().take()
}
