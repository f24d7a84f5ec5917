//! Repositories.

pub(in crate::index) mod repository {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::{Declared, Index};

    /// A repository: the latest version of its record.
    ///
    /// Read by name on every request (`RepositoryIndex::repository`), by id in jobs (`RepositoryIndex::repository_by_id`), and in
    /// order of names on the page of all public ones (`RepositoryIndex::public_repositories`). Verification goes through all of
    /// them by id (`IndexPages::repository_page`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_repos")]
    pub struct Model {
        /// The id that stays when names change.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Whose it is, as they write it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub owner: String,
        /// Its name below the owner, as they write it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub slug: String,
        /// `owner` in lower case: names compare without case.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub owner_key: String,
        /// `slug` in lower case; one repository per pair of keys.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub slug_key: String,
        /// The version of the record.
        pub version: i64,
        /// `public` or `private`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub visibility: String,
        /// What it is about.
        #[sea_orm(column_type = "Text")]
        pub description: String,
        /// How its ids are computed; none before the first push.
        #[sea_orm(column_type = "String(StringLen::N(16))", nullable)]
        pub scheme: Option<String>,
        /// The branch that pages show; none before the first push.
        #[sea_orm(column_type = "String(StringLen::N(255))", nullable)]
        pub default_branch: Option<String>,
        /// What those who administer it decided, as JSON.
        #[sea_orm(column_type = "Text", default_value = "{}")]
        pub settings: String,
        /// When it was created.
        pub created_at: i64,
        /// Whether nobody sees it any more.
        pub deleted: bool,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] = &[
            Index::of("ux_repos_name", &[Column::OwnerKey, Column::SlugKey]).unique(),
            Index::of(
                "ix_repos_listing",
                &[Column::Visibility, Column::Deleted, Column::OwnerKey, Column::SlugKey],
            ),
        ];
    }
}
