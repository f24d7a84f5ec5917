//! Collaborators, the reach and end of tokens, keys, and what was proven once.

use sea_orm_migration::prelude::*;

/// Adds what decides who may do what.
#[derive(Debug)]
pub(super) struct Identity;

impl MigrationName for Identity {
    fn name(&self) -> &str {
        "m0006_identity"
    }
}

/// A foreign key that goes with its row.
fn reference(
    name: &str,
    from: (&'static str, &'static str),
    to: (&'static str, &'static str),
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(name)
        .from(from.0, from.1)
        .to(to.0, to.1)
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

#[async_trait::async_trait]
impl MigrationTrait for Identity {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column at a time: SQLite adds no more with one statement.
        for (table, mut column) in [
            ("musehub_identities", ColumnDef::new("spawned_by").string_len(64).null().take()),
            ("musehub_tokens", ColumnDef::new("scope").string_len(16).not_null().default("admin").take()),
            ("musehub_tokens", ColumnDef::new("expires_at").big_integer().null().take()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(&mut column).take()).await?;
        }
        self.collaborators(manager).await?;
        self.keys(manager).await?;
        self.proofs(manager).await
    }
}

impl Identity {
    async fn collaborators(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        const TABLE: &str = "musehub_collaborators";
        let mut table = Table::create();
        table
            .table(TABLE)
            .col(ColumnDef::new("repo_id").string_len(128).not_null())
            .col(ColumnDef::new("handle_key").string_len(64).not_null())
            .col(ColumnDef::new("role").string_len(16).not_null())
            .col(ColumnDef::new("added_by").string_len(64).not_null())
            .col(ColumnDef::new("added_at").big_integer().not_null())
            .primary_key(Index::create().col("repo_id").col("handle_key"))
            .foreign_key(&mut reference(
                "fk_collaborators_repo",
                (TABLE, "repo_id"),
                ("musehub_repos", "repo_id"),
            ))
            .foreign_key(&mut reference(
                "fk_collaborators_identity",
                (TABLE, "handle_key"),
                ("musehub_identities", "handle_key"),
            ));
        manager.create_table(table).await?;
        let index = Index::create().name("ix_collaborators_handle").table(TABLE).col("handle_key").take();
        manager.create_index(index).await
    }

    async fn keys(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        const TABLE: &str = "musehub_auth_keys";
        let mut table = Table::create();
        table
            .table(TABLE)
            .col(ColumnDef::new("key_id").string_len(128).not_null().primary_key())
            .col(ColumnDef::new("handle_key").string_len(64).not_null())
            .col(ColumnDef::new("public_key").string_len(64).not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("retired_at").big_integer().null())
            .foreign_key(&mut reference(
                "fk_auth_keys_identity",
                (TABLE, "handle_key"),
                ("musehub_identities", "handle_key"),
            ));
        manager.create_table(table).await?;
        let index = Index::create().name("ix_auth_keys_handle").table(TABLE).col("handle_key").take();
        manager.create_index(index).await
    }

    async fn proofs(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        let mut spent = Table::create();
        spent
            .table("musehub_spent_proofs")
            .col(ColumnDef::new("proof_hash").string_len(64).not_null().primary_key())
            .col(ColumnDef::new("expires_at").big_integer().not_null());
        manager.create_table(spent).await?;
        let index = Index::create()
            .name("ix_spent_proofs_end")
            .table("musehub_spent_proofs")
            .col("expires_at")
            .take();
        manager.create_index(index).await?;
        let mut secrets = Table::create();
        secrets
            .table("musehub_secrets")
            .col(ColumnDef::new("name").string_len(64).not_null().primary_key())
            .col(ColumnDef::new("secret").string_len(64).not_null());
        manager.create_table(secrets).await
    }
}
