//! The JSON API of keys: challenges, registration, rotation, retirement, and the keys of agents.

use hyper::StatusCode;
use musehub_core::Handle;
use musehub_core::hub::KeyProof;
use musehub_core::port::KeyRecord;
use musehub_core::signature::{ALGORITHM, KeyId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Deserialize, ToSchema)]
struct ChallengeRequest {
    handle: String,
}

#[derive(Serialize, ToSchema)]
struct ChallengeAnswer {
    challenge_token: String,
    algorithm: &'static str,
    expires_at: String,
}

/// Gives a text for a new key to sign
#[utoipa::path(
    post,
    operation_id = "challenge_key",
    path = "/api/auth/challenge",
    tag = "keys",
    request_body = ChallengeRequest,
    responses((status = 200, description = "Done.", body = ChallengeAnswer))
)]
pub(crate) async fn challenge(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: ChallengeRequest = exchange.decode(body).await?;
    let challenge = exchange.app.keyring.challenge(&Handle::parse(&request.handle)?).await?;
    let answer = ChallengeAnswer {
        challenge_token: challenge.token,
        algorithm: ALGORITHM,
        expires_at: challenge.expires_at.to_string(),
    };
    json(StatusCode::OK, &answer)
}

/// A key that answers a challenge
#[derive(Deserialize, ToSchema)]
struct KeyProofRequest {
    challenge_token: String,
    /// The 32 bytes of an Ed25519 key.
    public_key_b64: String,
    /// The key's signature of the text of `challenge_token`.
    signature_b64: String,
}

impl KeyProofRequest {
    fn read(self) -> Result<KeyProof, ApiError> {
        let named = |field: &str, error| ApiError::invalid(format!("{field}: {error}"));
        Ok(KeyProof {
            challenge: self.challenge_token,
            key: self.public_key_b64.parse().map_err(|error| named("public_key_b64", error))?,
            signature: self.signature_b64.parse().map_err(|error| named("signature_b64", error))?,
        })
    }
}

/// A key that answers a challenge, and for which name
#[derive(Deserialize, ToSchema)]
struct NamedKeyProofRequest {
    handle: String,
    challenge_token: String,
    /// The 32 bytes of an Ed25519 key.
    public_key_b64: String,
    /// The key's signature of the text of `challenge_token`.
    signature_b64: String,
}

impl NamedKeyProofRequest {
    fn read(self) -> Result<(Handle, KeyProof), ApiError> {
        let Self { handle, challenge_token, public_key_b64, signature_b64 } = self;
        let proof = KeyProofRequest { challenge_token, public_key_b64, signature_b64 };
        Ok((Handle::parse(&handle)?, proof.read()?))
    }
}

#[derive(Serialize, ToSchema)]
struct KeyAnswer {
    handle: String,
    key_id: String,
    algorithm: &'static str,
    public_key_b64: String,
    created_at: String,
    retired_at: Option<String>,
}

impl From<&KeyRecord> for KeyAnswer {
    fn from(record: &KeyRecord) -> Self {
        Self {
            handle: record.handle.to_string(),
            key_id: record.key.id().to_string(),
            algorithm: ALGORITHM,
            public_key_b64: record.key.to_string(),
            created_at: record.created_at.to_string(),
            retired_at: record.retired_at.map(|at| at.to_string()),
        }
    }
}

/// Takes a free name with a key, where the operator lets anybody do that
#[utoipa::path(
    post,
    operation_id = "register_identity",
    path = "/api/auth/register",
    tag = "keys",
    request_body = NamedKeyProofRequest,
    responses((status = 201, description = "Done.", body = KeyAnswer))
)]
pub(crate) async fn register(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: NamedKeyProofRequest = exchange.decode(body).await?;
    let (handle, proof) = request.read()?;
    let record = exchange.app.keyring.register(&handle, &proof).await?;
    json(StatusCode::CREATED, &KeyAnswer::from(&record))
}

#[derive(Serialize, ToSchema)]
struct KeysAnswer {
    keys: Vec<KeyAnswer>,
}

/// Lists the keys of the caller, retired ones included
#[utoipa::path(
    get,
    operation_id = "list_keys",
    path = "/api/auth/keys",
    tag = "keys",
    responses((status = 200, description = "Done.", body = KeysAnswer))
)]
pub(crate) async fn list(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let keys = exchange.app.keyring.keys(exchange.caller()?).await?;
    json(StatusCode::OK, &KeysAnswer { keys: keys.iter().map(KeyAnswer::from).collect() })
}

/// Adds a key to the caller: signed by the old key, the first half of a rotation
#[utoipa::path(
    post,
    operation_id = "add_key",
    path = "/api/auth/keys",
    tag = "keys",
    request_body = KeyProofRequest,
    responses((status = 201, description = "Done.", body = KeyAnswer))
)]
pub(crate) async fn add(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: KeyProofRequest = exchange.decode(body).await?;
    let record = exchange.app.keyring.add(exchange.caller()?, &request.read()?).await?;
    json(StatusCode::CREATED, &KeyAnswer::from(&record))
}

#[derive(Serialize, ToSchema)]
struct RetiredKeyAnswer {
    retired: String,
}

/// Retires a key of the caller, or of an agent that they run
#[utoipa::path(
    delete,
    operation_id = "retire_key",
    path = "/api/auth/keys/{key_id}",
    tag = "keys",
    params(("key_id" = String, Path, description = "Its fingerprint.")),
    responses((status = 200, description = "Done.", body = RetiredKeyAnswer))
)]
pub(crate) async fn retire(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let id = exchange.params.get("key_id").parse::<KeyId>();
    let id = id.map_err(|error| ApiError::invalid(format!("key_id: {error}")))?;
    exchange.app.keyring.retire(exchange.caller()?, &id).await?;
    json(StatusCode::OK, &RetiredKeyAnswer { retired: id.to_string() })
}

#[derive(Serialize, ToSchema)]
struct AgentKeyAnswer {
    handle: String,
    key_id: String,
    public_key_b64: String,
    created_at: String,
    /// Who runs the agent.
    spawned_by: String,
}

/// Registers the key of an agent that the caller runs
#[utoipa::path(
    post,
    operation_id = "register_agent",
    path = "/api/identities/agent",
    tag = "keys",
    request_body = NamedKeyProofRequest,
    responses((status = 201, description = "Done.", body = AgentKeyAnswer))
)]
pub(crate) async fn register_agent(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let request: NamedKeyProofRequest = exchange.decode(body).await?;
    let (handle, proof) = request.read()?;
    let operator = exchange.caller()?;
    let record = exchange.app.keyring.register_agent(operator, &handle, &proof).await?;
    let KeyAnswer { handle, key_id, public_key_b64, created_at, .. } = KeyAnswer::from(&record);
    let spawned_by = operator.to_string();
    let answer = AgentKeyAnswer { handle, key_id, public_key_b64, created_at, spawned_by };
    json(StatusCode::CREATED, &answer)
}
