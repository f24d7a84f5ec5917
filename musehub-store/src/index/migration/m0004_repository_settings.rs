//! What those who administer a repository decide about it.

use sea_orm_migration::prelude::*;

/// Adds the settings of a repository.
#[derive(Debug)]
pub(super) struct RepositorySettings;

impl MigrationName for RepositorySettings {
    fn name(&self) -> &str {
        "m0004_repository_settings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RepositorySettings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let settings = ColumnDef::new("settings").text().not_null().default("{}").take();
        manager.alter_table(Table::alter().table("musehub_repos").add_column(settings).take()).await
    }
}
