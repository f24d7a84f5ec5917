//! Background work.

pub(in crate::index) mod background_job {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A job, kept after its end.
    ///
    /// Read by workers in order of priority and time (`JobQueue::claim`), the newest of a kind by pages (`JobQueue::latest`), by
    /// its id (`JobControl::job`) and in lists of a repository or of what became of them (`JobControl::jobs`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_background_jobs")]
    pub struct Model {
        /// The hash of what is to be done.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub job_id: String,
        /// The repository that it is about.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// What to do.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub job_type: String,
        /// With what.
        #[sea_orm(column_type = "Text")]
        pub payload: String,
        /// `pending`, `running`, `done`, `failed` or `cancelled`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub status: String,
        /// How often it was claimed and not given back.
        pub attempt: i64,
        /// From when it may be claimed.
        pub run_at: i64,
        /// Until when its worker has it to itself; none unless it is running.
        pub lease_until: Option<i64>,
        /// Who has it; none unless it is running.
        #[sea_orm(column_type = "Text", nullable)]
        pub worker: Option<String>,
        /// The error of the last attempt that failed.
        #[sea_orm(column_type = "Text", nullable)]
        pub error: Option<String>,
        /// What it did, by its own words.
        #[sea_orm(column_type = "Text", nullable)]
        pub summary: Option<String>,
        /// When it was enqueued last.
        pub created_at: i64,
        /// When it was enqueued, claimed, done, given back or cancelled last.
        pub updated_at: i64,
        /// 0 before 1, which is normal, before 2.
        #[sea_orm(default_value = 1)]
        pub priority: i64,
        /// Its place among the open jobs of its kind and repository; none where they come in any order.
        pub turn: Option<i64>,
        /// When somebody asked first that it be cancelled.
        pub cancel_requested_at: Option<i64>,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its repository.
        #[sea_orm(
            belongs_to = "repository::Entity",
            from = "Column::RepoId",
            to = "repository::Column::RepoId",
            on_delete = "Cascade"
        )]
        Repository,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] = &[
            Index::of(
                "ix_background_jobs_claim",
                &[Column::Priority, Column::CreatedAt, Column::RunAt, Column::JobType],
            )
            .only_where("status IN ('pending', 'running')"),
            Index::of("ix_background_jobs_turn", &[Column::RepoId, Column::JobType, Column::Turn])
                .only_where("status IN ('pending', 'running')"),
            Index::of("ix_background_jobs_repo", &[Column::RepoId, Column::CreatedAt, Column::JobId]),
            // Of what is over alone: a claim would take it for its own index.
            Index::of("ix_background_jobs_over", &[Column::Status, Column::CreatedAt, Column::JobId])
                .only_where("status IN ('done', 'failed', 'cancelled')"),
            Index::of("ix_background_jobs_latest", &[Column::RepoId, Column::JobType, Column::CreatedAt]),
        ];
    }
}
