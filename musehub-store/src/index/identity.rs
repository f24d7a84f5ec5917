//! [`IdentityStore`].

use async_trait::async_trait;
use musehub_core::name::Handle;
use musehub_core::port::{BackendError, Identity, IdentityStore, NewToken, Timestamp, TokenHash, TokenRow};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::retry;
use super::sql::{Row, damaged};

const IDENTITIES: &str = "musehub_identities";
const TOKENS: &str = "musehub_tokens";

const ADD_IDENTITY: &str = "\
    INSERT INTO musehub_identities (handle, handle_key, created_at, spawned_by) VALUES ($1, $2, $3, $4) \
    ON CONFLICT DO NOTHING";

pub(super) const IDENTITY: &str =
    "SELECT handle, spawned_by, created_at FROM musehub_identities WHERE handle_key = $1";

/// Under the name that the identity was first written with.
const ADD_TOKEN: &str = "\
    INSERT INTO musehub_tokens (token_hash, handle, created_at, scope, expires_at) \
    SELECT $1, handle, $3, $4, $5 FROM musehub_identities WHERE handle_key = $2 \
    ON CONFLICT (token_hash) DO NOTHING";

/// Of a token that exists: whether it is that identity's.
pub(super) const SAME_OWNER: &str = "\
    SELECT 1 FROM musehub_tokens AS t JOIN musehub_identities AS i ON i.handle = t.handle \
    WHERE t.token_hash = $1 AND i.handle_key = $2";

pub(super) const TOKEN: &str = "\
    SELECT token_hash, handle, scope, created_at, expires_at, revoked_at FROM musehub_tokens WHERE token_hash = $1";

pub(super) const TOKENS_OF: &str = "\
    SELECT t.token_hash, t.handle, t.scope, t.created_at, t.expires_at, t.revoked_at \
    FROM musehub_tokens AS t JOIN musehub_identities AS i ON i.handle = t.handle \
    WHERE i.handle_key = $1 ORDER BY t.created_at, t.token_hash";

pub(super) const REVOKE: &str = "\
    UPDATE musehub_tokens SET revoked_at = $1 \
    WHERE handle = (SELECT handle FROM musehub_identities WHERE handle_key = $2) AND revoked_at IS NULL \
        AND substr(token_hash, 1, 16) = $3";

#[async_trait]
impl IdentityStore for SqlIndex {
    async fn add_identity(&self, identity: &Identity) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding an identity").await?;
            let added = write.execute(ADD_IDENTITY, identity_values(identity)).await? > 0;
            write.commit().await?;
            Ok(added)
        })
        .await
    }

    async fn identity(&self, handle: &Handle) -> Result<Option<Identity>, BackendError> {
        let rows = self.rows("finding an identity", IDENTITY, [key(handle)]).await?;
        let read = |row| {
            let row = Row::of(IDENTITIES, row);
            Ok(Identity {
                handle: parse_handle(IDENTITIES, "handle", &row.get::<String>(0, "handle")?)?,
                spawned_by: row
                    .get::<Option<String>>(1, "spawned_by")?
                    .map(|text| parse_handle(IDENTITIES, "spawned_by", &text))
                    .transpose()?,
                created_at: row.moment(2, "created_at")?,
            })
        };
        rows.first().map(read).transpose()
    }

    async fn add_token(&self, token: &NewToken) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding a token").await?;
            let fresh =
                Identity { handle: token.handle.clone(), spawned_by: None, created_at: token.created_at };
            write.execute(ADD_IDENTITY, identity_values(&fresh)).await?;
            let hash = token.hash.to_hex();
            let values: [Value; 5] = [
                hash.as_str().into(),
                key(&token.handle),
                token.created_at.as_millis().into(),
                token.scope.as_str().into(),
                token.expires_at.map(Timestamp::as_millis).into(),
            ];
            let added = write.execute(ADD_TOKEN, values).await? > 0;
            if !added && write.rows(SAME_OWNER, [hash.into(), key(&token.handle)]).await?.is_empty() {
                return Err(BackendError::Conflict { what: "the token, as another identity's,".to_owned() });
            }
            write.commit().await
        })
        .await
    }

    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRow>, BackendError> {
        let rows = self.rows("finding a token", TOKEN, [hash.to_hex().into()]).await?;
        rows.first().map(token).transpose()
    }

    async fn tokens(&self, handle: &Handle) -> Result<Vec<TokenRow>, BackendError> {
        let rows = self.rows("listing tokens", TOKENS_OF, [key(handle)]).await?;
        rows.iter().map(token).collect()
    }

    async fn revoke_token(
        &self,
        handle: &Handle,
        token_id: &str,
        at: Timestamp,
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("revoking a token").await?;
            let values = [at.as_millis().into(), key(handle), token_id.into()];
            let revoked = write.execute(REVOKE, values).await? > 0;
            write.commit().await?;
            Ok(revoked)
        })
        .await
    }
}

/// Handles compare by it.
pub(super) fn key(handle: &Handle) -> Value {
    handle.as_str().to_ascii_lowercase().into()
}

pub(super) fn parse_handle(
    table: &'static str,
    column: &'static str,
    text: &str,
) -> Result<Handle, BackendError> {
    Handle::parse(text).map_err(|error| damaged(table, column, error))
}

fn identity_values(identity: &Identity) -> [Value; 4] {
    [
        identity.handle.as_str().into(),
        key(&identity.handle),
        identity.created_at.as_millis().into(),
        identity.spawned_by.as_ref().map(Handle::as_str).into(),
    ]
}

fn token(row: &QueryResult) -> Result<TokenRow, BackendError> {
    let row = Row::of(TOKENS, row);
    let hash: String = row.get(0, "token_hash")?;
    let moment =
        |at, column| Ok::<_, BackendError>(row.get::<Option<i64>>(at, column)?.map(Timestamp::from_millis));
    Ok(TokenRow {
        token_id: hash.chars().take(16).collect(),
        handle: parse_handle(TOKENS, "handle", &row.get::<String>(1, "handle")?)?,
        scope: row.parse(2, "scope")?,
        created_at: row.moment(3, "created_at")?,
        expires_at: moment(4, "expires_at")?,
        revoked_at: moment(5, "revoked_at")?,
    })
}
