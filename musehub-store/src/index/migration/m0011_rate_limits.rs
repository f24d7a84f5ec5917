//! Buckets of tokens that several processes share.

use sea_orm_migration::prelude::*;

/// Adds their table.
#[derive(Debug)]
pub(super) struct RateLimits;

impl MigrationName for RateLimits {
    fn name(&self) -> &str {
        "m0011_rate_limits"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RateLimits {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut buckets = Table::create();
        buckets
            .table("musehub_rate_limits")
            .col(ColumnDef::new("bucket").string_len(128).not_null().primary_key())
            .col(ColumnDef::new("full_at").big_integer().not_null());
        manager.create_table(buckets).await
    }
}
