//! The one way in which the schema changes. A migration that was released never changes again, so it spells names out
//! and uses no entity.

mod m0001_first_schema;
mod m0002_breakage_help;
mod m0003_branch_claims;
mod m0004_repository_settings;
mod m0005_unstored_rows;
mod m0006_identity;
mod m0007_job_turns;
mod m0008_proposals;
mod m0009_releases_and_tags;
mod m0010_mpack;
mod m0011_rate_limits;

#[cfg(test)]
mod tests;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The migrations, oldest first.
#[derive(Debug)]
pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first_schema::FirstSchema),
            Box::new(m0002_breakage_help::BreakageHelp),
            Box::new(m0003_branch_claims::BranchClaims),
            Box::new(m0004_repository_settings::RepositorySettings),
            Box::new(m0005_unstored_rows::UnstoredRows),
            Box::new(m0006_identity::Identity),
            Box::new(m0007_job_turns::JobTurns),
            Box::new(m0008_proposals::Proposals),
            Box::new(m0009_releases_and_tags::ReleasesAndTags),
            Box::new(m0010_mpack::Mpack),
            Box::new(m0011_rate_limits::RateLimits),
        ]
    }
}
