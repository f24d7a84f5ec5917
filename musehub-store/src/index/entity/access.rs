//! Who may do what, with which key, and what was proven once.

pub(in crate::index) mod collaborator {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::identity::identity;
    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// Somebody who may do something with a repository of somebody else's.
    ///
    /// Read by key where a repository is opened for somebody who does not own it (`Collaborators::role`), and whole per repository by its
    /// administrators (`Collaborators::collaborators`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_collaborators")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Who, in lower case.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub handle_key: String,
        /// `read`, `write` or `admin`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub role: String,
        /// Who let them.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub added_by: String,
        /// Since when.
        pub added_at: i64,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// The repository.
        #[sea_orm(
            belongs_to = "repository::Entity",
            from = "Column::RepoId",
            to = "repository::Column::RepoId",
            on_delete = "Cascade"
        )]
        Repository,
        /// Who.
        #[sea_orm(
            belongs_to = "identity::Entity",
            from = "Column::HandleKey",
            to = "identity::Column::HandleKey",
            on_delete = "Cascade"
        )]
        Identity,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] =
            &[Index::of("ix_collaborators_handle", &[Column::HandleKey])];
    }
}

pub(in crate::index) mod auth_key {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::identity::identity;
    use crate::index::schema::declared::{Declared, Index};

    /// A public key of an identity's, also one that is retired, so that old signatures can be judged.
    ///
    /// Read by identity on every signed request (`KeyStore::keys`), by fingerprint where signatures of commits are judged
    /// (`KeyStore::keys_by_id`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_auth_keys")]
    pub struct Model {
        /// Its fingerprint: `sha256:` and the digits of the SHA-256 of the key.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub key_id: String,
        /// Whose it is, in lower case.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub handle_key: String,
        /// The key, base64url without padding.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub public_key: String,
        /// When it was registered.
        pub created_at: i64,
        /// Since when it signs nothing any more.
        pub retired_at: Option<i64>,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Whose it is.
        #[sea_orm(
            belongs_to = "identity::Entity",
            from = "Column::HandleKey",
            to = "identity::Column::HandleKey",
            on_delete = "Cascade"
        )]
        Identity,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] = &[Index::of("ix_auth_keys_handle", &[Column::HandleKey])];
    }
}

pub(in crate::index) mod spent_proof {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::{Declared, Index};

    /// A signature or an answer that was used, and counts no second time.
    ///
    /// Written by key on every signed request that changes something (`ProofGuard::spend`: the insert decides), removed by its end
    /// (`ProofGuard::forget_spent`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_spent_proofs")]
    pub struct Model {
        /// Its BLAKE3 hash, in hexadecimal.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub proof_hash: String,
        /// From when on it counts for nothing anyway.
        pub expires_at: i64,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] = &[Index::of("ix_spent_proofs_end", &[Column::ExpiresAt])];
    }
}

pub(in crate::index) mod secret {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    /// Random bytes that all processes of a hub share, to recognise what one of them gave out.
    ///
    /// Read by name once per process (`ProofGuard::shared_secret`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_secrets")]
    pub struct Model {
        /// What it is for.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub name: String,
        /// 32 bytes in hexadecimal.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub secret: String,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}
