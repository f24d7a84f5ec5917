//! What keeps one client from taking all.

pub(in crate::index) mod rate_limit {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    /// A bucket of tokens that is not full: how often somebody may still do something. Of several processes only; one alone
    /// keeps them in memory. Rows of buckets that are full again mean nothing and are removed.
    ///
    /// Read and written by its key (`RateLimits::take`), and removed by time (`RateLimits::forget_full`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_rate_limits")]
    pub struct Model {
        /// Whose it is, and for what: `address:192.0.2.7:read`, `identity:alice:write`.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub bucket: String,
        /// When it will be full, in microseconds since the epoch.
        pub full_at: i64,
    }

    /// It refers to nothing.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    // Without an index by time a bucket is updated in place.
    impl Declared for Entity {}
}
