//! Packs of the wire.

pub(in crate::index) mod fetch_pack {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A pack that was built for a fetch, until it expires.
    ///
    /// Read by the hash of the fetch when one is answered (`FetchPacks::fetch_pack`), by id when it is downloaded
    /// (`FetchPacks::fetch_pack_by_id`), in order of their ends by the collection (`FetchPacks::expired_fetch_packs`), and by
    /// file where a collection looks for files without a row (`FetchPacks::recorded_files`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_fetch_mpack_cache")]
    pub struct Model {
        /// The hash of repository, wants and haves.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub cache_id: String,
        /// The repository.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The SHA-256 of the pack.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub mpack_id: String,
        /// The name of its file.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub file: String,
        /// Its length, in bytes.
        pub size: i64,
        /// How many commits it has.
        pub commit_count: i64,
        /// How many snapshots it has.
        pub snapshot_count: i64,
        /// How many objects it has.
        pub object_count: i64,
        /// When it was built.
        pub created_at: i64,
        /// Until when it is given to clients.
        pub expires_at: i64,
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
            Index::of("ix_fetch_mpack_cache_id", &[Column::RepoId, Column::MpackId, Column::ExpiresAt]),
            Index::of("ix_fetch_mpack_cache_end", &[Column::ExpiresAt]),
            Index::of("ix_fetch_mpack_cache_file", &[Column::File]),
        ];
    }
}
