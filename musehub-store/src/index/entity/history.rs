//! Branches, commits, their graph, and snapshots. All are of one repository: under `flat-v1` two repositories may hold
//! different records under one id.

pub(in crate::index) mod branch {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// A branch, also one that was deleted, since its moves go on counting.
    ///
    /// Read whole per repository by `refs` and the pages (`HistoryIndex::branches`), one by one by a push
    /// (`HistoryIndex::branch`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_branches")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Its name.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(255))")]
        pub name: String,
        /// Its head; none where it was deleted.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub head_commit_id: Option<String>,
        /// The number of its last move.
        pub sequence: i64,
        /// When it moved last.
        pub moved_at: i64,
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
        const CLUSTERED: bool = true;
    }
}

pub(in crate::index) mod branch_claim {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// The name of a branch that some process is about to make or to move. Derived from nothing, and gone when that is done.
    ///
    /// Read whole per repository before a branch is made (`BranchClaims::claim`), and whenever a repository is opened
    /// (`BranchClaims::claims`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_branch_claims")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The name.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(255))")]
        pub name: String,
        /// Whoever claimed it has made or moved the branch by then, or never will.
        pub claimed_until: i64,
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

pub(in crate::index) mod commit {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A commit that a repository holds. Its parents and generation are in the graph.
    ///
    /// Read by id for pages, fetches and membership (`HistoryIndex::commits`), counted (`HistoryIndex::commit_count`), and
    /// by id alone where the packed store asks for a place (`PlaceIndex::locate`). Those that wait to be back-filled are
    /// listed (`UnstoredIndex::unstored_commits`), and their records read by id (`UnstoredIndex::unstored_records`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_commits")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Its id.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// Its snapshot.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub snapshot_id: String,
        /// Who wrote it.
        #[sea_orm(column_type = "Text")]
        pub author: String,
        /// Its message.
        #[sea_orm(column_type = "Text")]
        pub message: String,
        /// The time of its record, verbatim.
        #[sea_orm(column_type = "Text")]
        pub committed_at: String,
        /// The agent that made it, empty for none.
        #[sea_orm(column_type = "Text")]
        pub agent_id: String,
        /// The branch on which it was made, by its record.
        #[sea_orm(column_type = "Text")]
        pub branch: String,
        /// Length of the payload of its record, in bytes.
        pub size: i64,
        /// Where this repository's record of it lies; none while it waits to be back-filled.
        #[sea_orm(column_type = "Text", nullable)]
        pub storage_uri: Option<String>,
        /// The record in JSON, while there is no `storage_uri`.
        #[sea_orm(column_type = "Text", nullable)]
        pub record: Option<String>,
        /// Whether nothing but its client's word ties its id to it.
        #[sea_orm(default_value = false)]
        pub id_opaque: bool,
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
            Index::of("ix_commits_id", &[Column::CommitId]),
            Index::of("ix_commits_unstored", &[Column::RepoId, Column::CommitId])
                .only_where("storage_uri IS NULL"),
        ];
    }
}

pub(in crate::index) mod commit_graph {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// A commit and one of its parents; a root has one row without a parent. So a walk reads these narrow rows alone.
    ///
    /// Walked by pushes and fetches (`HistoryIndex::commit_nodes`), joined to commits (`HistoryIndex::commits`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_commit_graph")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The commit.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// Which of its parents, from 0.
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        /// The parent; none for a root.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub parent_id: Option<String>,
        /// 1 for a root, else one more than the highest of the commit's parents.
        pub generation: i64,
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
        const CLUSTERED: bool = true;
    }
}

pub(in crate::index) mod snapshot {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A snapshot that a repository holds.
    ///
    /// Read by id for pages, fetches and membership (`HistoryIndex::snapshots`), and by id alone where the packed store
    /// asks for a place (`PlaceIndex::locate`). Those that wait to be back-filled are listed
    /// (`UnstoredIndex::unstored_snapshots`), and their records read by id (`UnstoredIndex::unstored_records`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_snapshots")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Its id.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub snapshot_id: String,
        /// How many files it has.
        pub entry_count: i64,
        /// Length of its payload, in bytes.
        pub size: i64,
        /// Where this repository's record of it lies; none while it waits to be back-filled.
        #[sea_orm(column_type = "Text", nullable)]
        pub storage_uri: Option<String>,
        /// The record in JSON, while there is no `storage_uri`.
        #[sea_orm(column_type = "Text", nullable)]
        pub record: Option<String>,
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
        const CLUSTERED: bool = true;
        const INDEXES: &'static [Index<Column>] = &[
            Index::of("ix_snapshots_id", &[Column::SnapshotId]),
            Index::of("ix_snapshots_unstored", &[Column::RepoId, Column::SnapshotId])
                .only_where("storage_uri IS NULL"),
        ];
    }
}
