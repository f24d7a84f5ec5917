//! Blobs: bytes are shared between repositories, visibility is not.

pub(in crate::index) mod object {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    /// A blob that some repository holds.
    ///
    /// Read by id through the membership of a repository (`HistoryIndex::blobs`), and alone where the packed store asks
    /// for a place (`PlaceIndex::locate`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_objects")]
    pub struct Model {
        /// Its id.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub object_id: String,
        /// Length of its payload, in bytes.
        pub size: i64,
        /// Where it lies.
        #[sea_orm(column_type = "Text")]
        pub storage_uri: String,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const CLUSTERED: bool = true;
    }
}

pub(in crate::index) mod object_ref {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// That a repository holds a blob.
    ///
    /// Read by ids of one repository by pushes, fetches and pages (`HistoryIndex::blobs`), by the
    /// blob where somebody asks for one by its id alone (`RepositoryIndex::holders`). There is no foreign key to
    /// the blob: both rows are written in one transaction, and the check would cost every push a second look-up per
    /// blob.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_object_refs")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The blob.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub object_id: String,
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
        const INDEXES: &'static [Index<Column>] =
            &[Index::of("ix_object_refs_object", &[Column::ObjectId, Column::RepoId])];
    }
}
