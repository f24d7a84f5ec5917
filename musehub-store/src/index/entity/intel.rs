//! What intelligence found.

pub(in crate::index) mod breakage_issue {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// An issue of the last scan of a repository.
    ///
    /// Read in order of file and line, with filters, by the breakage page (`BreakageIndex::breakage_issues`), and by file or
    /// subject (`BreakageIndex::breakage_groups`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_intel_breakage_issues")]
    pub struct Model {
        /// The blob id of what it says.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub issue_id: String,
        /// The repository.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// E.g. `stale_import`.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub issue_type: String,
        /// The file that has it.
        #[sea_orm(column_type = "Text")]
        pub file_path: String,
        /// Its first line, from 1.
        pub line: i64,
        /// A sentence for people.
        #[sea_orm(column_type = "Text")]
        pub description: String,
        /// `error` or `warning`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub severity: String,
        /// The commit scanned.
        #[sea_orm(column_name = "ref", column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// Its column in characters, from 1.
        #[sea_orm(default_value = 1)]
        pub column_number: i64,
        /// What is missing, by its full dotted name.
        #[sea_orm(column_type = "Text", default_value = "")]
        pub subject: String,
        /// What to do about it: a JSON object.
        #[sea_orm(column_type = "Text", default_value = "{}")]
        pub help: String,
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
            Index::of("ix_intel_breakage_issues_repo", &[Column::RepoId]),
            Index::of("ix_intel_breakage_issues_repo_type", &[Column::RepoId, Column::IssueType]),
        ];
    }
}

pub(in crate::index) mod breakage_meta {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// The sums of the last scan of a repository.
    ///
    /// Read by the breakage page and the dashboard (`BreakageIndex::breakage_meta`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_intel_breakage_meta")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Issues of any severity.
        pub total_issues: i64,
        /// Issues that are warnings.
        pub warning_count: i64,
        /// Issues that are errors.
        pub error_count: i64,
        /// Files scanned.
        pub file_count: i64,
        /// The commit scanned.
        #[sea_orm(column_name = "ref", column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// When the scan ended.
        pub scanned_at: i64,
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

    impl Declared for Entity {}
}

pub(in crate::index) mod breakage_scan {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// The sums of one of the last scans of a repository.
    ///
    /// Read by the curve of the breakage page (`BreakageIndex::breakage_history`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_intel_breakage_scans")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The commit scanned.
        #[sea_orm(
            primary_key,
            auto_increment = false,
            column_name = "ref",
            column_type = "String(StringLen::N(128))"
        )]
        pub commit_id: String,
        /// Issues of any severity.
        pub total_issues: i64,
        /// Issues that are warnings.
        pub warning_count: i64,
        /// Issues that are errors.
        pub error_count: i64,
        /// Files scanned.
        pub file_count: i64,
        /// When the scan ended.
        pub scanned_at: i64,
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

    impl Declared for Entity {}
}

pub(in crate::index) mod fact {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    /// What was learned from a blob, of no repository in particular.
    ///
    /// Read by ids by the detectors (`FactCache::facts`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_intel_facts")]
    pub struct Model {
        /// The extractor and its version.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub kind: String,
        /// The blob.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub blob_id: String,
        /// The facts, JSON.
        #[sea_orm(column_type = "Text")]
        pub facts: String,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}
