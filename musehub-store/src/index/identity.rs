//! [`IdentityStore`].

use async_trait::async_trait;
use musehub_core::name::Handle;
use musehub_core::port::{BackendError, IdentityStore, NewToken, TokenHash};

use super::SqlIndex;
use super::retry;
use super::sql::{Row, damaged};

const ADD_IDENTITY: &str = "\
    INSERT INTO musehub_identities (handle, handle_key, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

/// Under the name that the identity was first written with.
const ADD_TOKEN: &str = "\
    INSERT INTO musehub_tokens (token_hash, handle, created_at) \
    SELECT $1, handle, $3 FROM musehub_identities WHERE handle_key = $2 \
    ON CONFLICT (token_hash) DO NOTHING";

/// Of a token that exists: whether it is that identity's.
const SAME_OWNER: &str = "\
    SELECT 1 FROM musehub_tokens AS t JOIN musehub_identities AS i ON i.handle = t.handle \
    WHERE t.token_hash = $1 AND i.handle_key = $2";

pub(super) const OWNER: &str =
    "SELECT handle FROM musehub_tokens WHERE token_hash = $1 AND revoked_at IS NULL";

#[async_trait]
impl IdentityStore for SqlIndex {
    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding a token").await?;
            let handle = token.handle.as_str();
            let key = handle.to_ascii_lowercase();
            let created_at = token.created_at.as_millis();
            write.execute(ADD_IDENTITY, [handle.into(), key.as_str().into(), created_at.into()]).await?;
            let hash = token.hash.to_hex();
            let added = write
                .execute(ADD_TOKEN, [hash.as_str().into(), key.as_str().into(), created_at.into()])
                .await?
                > 0;
            if !added && write.rows(SAME_OWNER, [hash.into(), key.into()]).await?.is_empty() {
                return Err(BackendError::Conflict { what: "the token, as another identity's,".to_owned() });
            }
            write.commit().await
        })
        .await
    }

    async fn token_owner(&self, hash: TokenHash) -> Result<Option<Handle>, BackendError> {
        const TABLE: &str = "musehub_tokens";
        let rows = self.rows("finding the owner of a token", OWNER, [hash.to_hex().into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let handle: String = Row::of(TABLE, row).get(0, "handle")?;
        Handle::parse(&handle).map(Some).map_err(|error| damaged(TABLE, "handle", error))
    }
}
