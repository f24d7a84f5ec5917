//! Who is who.

pub(in crate::index) mod identity {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    /// A person, an organisation or an agent.
    ///
    /// Read by key when a token is added (`IdentityStore::add_token`) and wherever an identity is named
    /// (`IdentityStore::identity`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_identities")]
    pub struct Model {
        /// Its name, as it was first written.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub handle: String,
        /// `handle` in lower case: names compare without case.
        #[sea_orm(unique, column_type = "String(StringLen::N(64))")]
        pub handle_key: String,
        /// When it was first seen.
        pub created_at: i64,
        /// Of an agent: the handle of who runs it.
        #[sea_orm(column_type = "String(StringLen::N(64))", nullable)]
        pub spawned_by: Option<String>,
    }

    /// Refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}

pub(in crate::index) mod token {
    use sea_orm::entity::prelude::*;

    use super::identity;
    use crate::index::schema::declared::{Declared, Index};

    /// A token, by its hash.
    ///
    /// Read by hash on every request with a token (`IdentityStore::token`), and whole per identity by its operator
    /// (`IdentityStore::tokens`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_tokens")]
    pub struct Model {
        /// The BLAKE3 hash of the token, in hexadecimal.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub token_hash: String,
        /// Whose it is.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub handle: String,
        /// When it was made.
        pub created_at: i64,
        /// Since when it was revoked.
        pub revoked_at: Option<i64>,
        /// How far it goes: `read`, `push` or `admin`.
        #[sea_orm(column_type = "String(StringLen::N(16))", default_value = "admin")]
        pub scope: String,
        /// From when on it counts for nothing.
        pub expires_at: Option<i64>,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its owner.
        #[sea_orm(
            belongs_to = "identity::Entity",
            from = "Column::Handle",
            to = "identity::Column::Handle",
            on_delete = "Cascade"
        )]
        Identity,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const CLUSTERED: bool = true;
        const INDEXES: &'static [Index<Column>] = &[Index::of("ix_tokens_handle", &[Column::Handle])];
    }
}
