//! What people call commits. Nothing else holds it, so a backup does.

pub(in crate::index) mod release {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A release.
    ///
    /// Read newest first, a page at a time (`ReleaseStore::releases`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_releases")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// What it is called: a version.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub tag: String,
        /// Whom it is for: `stable`, `beta`, `alpha` or `nightly`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub channel: String,
        /// Whether it is not published yet.
        pub is_draft: bool,
        /// The commit that is released.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// Who published it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub publisher: String,
        /// When it came.
        pub created_at: i64,
        /// Everything that is said about it, as JSON.
        #[sea_orm(column_type = "Text")]
        pub record: String,
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
        const INDEXES: &'static [Index<Column>] =
            &[Index::of("ix_releases_newest", &[Column::RepoId, Column::CreatedAt, Column::Tag])];
    }
}

pub(in crate::index) mod tag {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::Declared;

    /// A label that somebody gave to a commit.
    ///
    /// Read in order of labels, a page at a time (`ReleaseStore::tags`), and by its key where one is renamed
    /// (`ReleaseStore::rename_tag`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_wire_tags")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The label.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(255))")]
        pub label: String,
        /// The commit.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// The id that its client gave it; the hub's own where the hub made it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub tag_id: String,
        /// When it was made, as its client says it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub created_at: String,
        /// Who brought or made it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub tagger: String,
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
