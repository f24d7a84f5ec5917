//! [`Collaborators`], [`KeyStore`] and [`ProofGuard`].

use async_trait::async_trait;
use musehub_core::name::{Handle, RepoId};
use musehub_core::port::{
    BackendError, Collaborator, Collaborators, KeyRecord, KeyStore, ProofGuard, Role, Timestamp,
};
use musehub_core::signature::KeyId;
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::dialect::among;
use super::identity::{key, parse_handle};
use super::retry;
use super::sql::{Row, damaged, id_array};

const COLLABORATORS: &str = "musehub_collaborators";
const KEY_TABLE: &str = "musehub_auth_keys";
const PROOFS: &str = "musehub_spent_proofs";
const SECRETS: &str = "musehub_secrets";

const PUT: &str = "\
    INSERT INTO musehub_collaborators (repo_id, handle_key, role, added_by, added_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (repo_id, handle_key) DO UPDATE SET \
        role = excluded.role, added_by = excluded.added_by, added_at = excluded.added_at";

pub(super) const REMOVE: &str = "DELETE FROM musehub_collaborators WHERE repo_id = $1 AND handle_key = $2";

pub(super) const ROLE: &str = "SELECT role FROM musehub_collaborators WHERE repo_id = $1 AND handle_key = $2";

pub(super) const LIST: &str = "\
    SELECT i.handle, c.role, c.added_by, c.added_at \
    FROM musehub_collaborators AS c JOIN musehub_identities AS i ON i.handle_key = c.handle_key \
    WHERE c.repo_id = $1 AND i.handle_key {of SELECT handle_key FROM musehub_collaborators WHERE repo_id = $1} \
    ORDER BY c.handle_key";

#[async_trait]
impl Collaborators for SqlIndex {
    async fn put_collaborator(&self, repo: &RepoId, collaborator: &Collaborator) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding a collaborator").await?;
            let values: [Value; 5] = [
                repo.as_str().into(),
                key(&collaborator.handle),
                collaborator.role.as_str().into(),
                collaborator.added_by.as_str().into(),
                collaborator.added_at.as_millis().into(),
            ];
            write.execute(PUT, values).await?;
            write.commit().await
        })
        .await
    }

    async fn remove_collaborator(&self, repo: &RepoId, handle: &Handle) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("removing a collaborator").await?;
            let removed = write.execute(REMOVE, [repo.as_str().into(), key(handle)]).await? > 0;
            write.commit().await?;
            Ok(removed)
        })
        .await
    }

    async fn role(&self, repo: &RepoId, handle: &Handle) -> Result<Option<Role>, BackendError> {
        let rows = self.rows("finding a role", ROLE, [repo.as_str().into(), key(handle)]).await?;
        rows.first().map(|row| Row::of(COLLABORATORS, row).parse(0, "role")).transpose()
    }

    async fn collaborators(&self, repo: &RepoId) -> Result<Vec<Collaborator>, BackendError> {
        let rows = self.rows("listing collaborators", LIST, [repo.as_str().into()]).await?;
        let read = |row| {
            let row = Row::of(COLLABORATORS, row);
            Ok(Collaborator {
                handle: parse_handle(COLLABORATORS, "handle_key", &row.get::<String>(0, "handle_key")?)?,
                role: row.parse(1, "role")?,
                added_by: parse_handle(COLLABORATORS, "added_by", &row.get::<String>(2, "added_by")?)?,
                added_at: row.moment(3, "added_at")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

const ADD_KEY: &str = "\
    INSERT INTO musehub_auth_keys (key_id, handle_key, public_key, created_at, retired_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (key_id) DO NOTHING";

pub(super) const KEYS: &str = "\
    SELECT i.handle, k.public_key, k.created_at, k.retired_at \
    FROM musehub_auth_keys AS k JOIN musehub_identities AS i ON i.handle_key = k.handle_key \
    WHERE k.handle_key = $1 ORDER BY k.created_at, k.key_id";

pub(super) const KEYS_BY_ID: &str = concat!(
    "SELECT i.handle, k.public_key, k.created_at, k.retired_at \
     FROM musehub_auth_keys AS k JOIN musehub_identities AS i ON i.handle_key = k.handle_key WHERE ",
    among!("k.key_id", "$1")
);

pub(super) const RETIRE: &str = "\
    UPDATE musehub_auth_keys SET retired_at = $1 WHERE key_id = $2 AND handle_key = $3 AND retired_at IS NULL";

#[async_trait]
impl KeyStore for SqlIndex {
    async fn add_key(&self, record: &KeyRecord) -> Result<(), BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding a key").await?;
            let values: [Value; 5] = [
                record.key.id().to_string().into(),
                key(&record.handle),
                record.key.to_string().into(),
                record.created_at.as_millis().into(),
                record.retired_at.map(Timestamp::as_millis).into(),
            ];
            if write.execute(ADD_KEY, values).await? == 0 {
                return Err(BackendError::Conflict { what: "the key".to_owned() });
            }
            write.commit().await
        })
        .await
    }

    async fn keys(&self, handle: &Handle) -> Result<Vec<KeyRecord>, BackendError> {
        let rows = self.rows("finding the keys of an identity", KEYS, [key(handle)]).await?;
        rows.iter().map(record).collect()
    }

    async fn keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<KeyRecord>, BackendError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows("finding keys", KEYS_BY_ID, [id_array(ids)]).await?;
        rows.iter().map(record).collect()
    }

    async fn retire_key(&self, handle: &Handle, id: &KeyId, at: Timestamp) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("retiring a key").await?;
            let values = [at.as_millis().into(), id.to_string().into(), key(handle)];
            let retired = write.execute(RETIRE, values).await? > 0;
            write.commit().await?;
            Ok(retired)
        })
        .await
    }
}

fn record(row: &QueryResult) -> Result<KeyRecord, BackendError> {
    let row = Row::of(KEY_TABLE, row);
    Ok(KeyRecord {
        handle: parse_handle(KEY_TABLE, "handle_key", &row.get::<String>(0, "handle_key")?)?,
        key: row.parse(1, "public_key")?,
        created_at: row.moment(2, "created_at")?,
        retired_at: row.get::<Option<i64>>(3, "retired_at")?.map(Timestamp::from_millis),
    })
}

/// Of many at once exactly one writes the row.
const SPEND: &str = "\
    INSERT INTO musehub_spent_proofs (proof_hash, expires_at) VALUES ($1, $2) ON CONFLICT (proof_hash) DO NOTHING";

pub(super) const ENDED: &str =
    "SELECT proof_hash FROM musehub_spent_proofs WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";

pub(super) const FORGET: &str =
    concat!("DELETE FROM musehub_spent_proofs WHERE expires_at <= $1 AND ", among!("proof_hash", "$2"));

/// Proofs that are forgotten at once: more than come between two times, on the average.
const FORGOTTEN_AT_ONCE: i64 = 1_000;

const KEEP_SECRET: &str =
    "INSERT INTO musehub_secrets (name, secret) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

pub(super) const SECRET: &str = "SELECT secret FROM musehub_secrets WHERE name = $1";

#[async_trait]
impl ProofGuard for SqlIndex {
    async fn spend(&self, proof: &[u8; 32], until: Timestamp) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("marking a proof as used").await?;
            let values = [hex::encode(proof).into(), until.as_millis().into()];
            let is_first = write.execute(SPEND, values).await? > 0;
            write.commit().await?;
            Ok(is_first)
        })
        .await
    }

    async fn forget_spent(&self, now: Timestamp) -> Result<u64, BackendError> {
        retry::transaction(|| async {
            let write = self.write("forgetting used proofs").await?;
            let rows = write.rows(ENDED, [now.as_millis().into(), FORGOTTEN_AT_ONCE.into()]).await?;
            let hash = |row| Row::of(PROOFS, row).get::<String>(0, "proof_hash");
            let mut hashes = rows.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
            hashes.sort_unstable();
            let forgotten = write.execute(FORGET, [now.as_millis().into(), id_array(hashes)]).await?;
            write.commit().await?;
            Ok(forgotten)
        })
        .await
    }

    async fn shared_secret(&self, name: &str, fresh: &[u8; 32]) -> Result<[u8; 32], BackendError> {
        retry::transaction(|| async {
            let write = self.write("keeping a secret").await?;
            write.execute(KEEP_SECRET, [name.into(), hex::encode(fresh).into()]).await?;
            let rows = write.rows(SECRET, [name.into()]).await?;
            write.commit().await?;
            let row =
                rows.first().ok_or_else(|| damaged(SECRETS, "name", "the row that was written is gone"))?;
            let text: String = Row::of(SECRETS, row).get(0, "secret")?;
            let mut secret = [0; 32];
            hex::decode_to_slice(text, &mut secret).map_err(|error| damaged(SECRETS, "secret", error))?;
            Ok(secret)
        })
        .await
    }
}
