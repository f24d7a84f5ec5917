//! The page of one commit.

use musehub_core::CommitId;
use musehub_core::object::{Commit, IdProof};
use musehub_core::port::RepositoryRecord;
use musehub_core::signature::commit::SignatureState as Known;
use serde_json::Value;

use super::version::missing;
use super::{diff, render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{CommitPage, Note, ParentView, Provenance, Reported, SignatureState, SignatureView};

/// Entries of the lists that a record may have.
const ENTRIES: usize = 50;
/// The longest text of such an entry, in characters.
const ENTRY_CHARS: usize = 500;

/// `GET /{owner}/{slug}/commits/{id}`
pub(super) async fn commit(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    id: CommitId,
) -> Result<Reply, ApiError> {
    let hub = &exchange.app.hub;
    let row = hub.commit(repo, id).await?;
    let record = hub.commit_record(repo, id).await?;
    let asked = exchange.query("parent").map(|text| text.parse::<usize>().unwrap_or(0));
    let chosen = asked.unwrap_or(1).checked_sub(1).ok_or_else(|| missing("parent"))?;
    let parent = record.parents().get(chosen).copied();
    if parent.is_none() && asked.is_some() {
        return Err(missing("parent"));
    }
    let choice = diff::Choice::of(exchange).with_parent(asked.map(|number| number as u64));
    let snapshot_verified = hub.snapshot_proof(repo, row.snapshot).await? == IdProof::Verified;
    let (first, body) = split_message(&row.message);
    let page = CommitPage {
        repo: views::header(repo),
        body: body.to_owned(),
        parents: (1..)
            .zip(record.parents())
            .map(|(number, id)| ParentView {
                id: id.to_string(),
                number,
                selected: Some(*id) == parent && number == chosen as u64 + 1,
            })
            .collect(),
        branch: row.branch.clone(),
        snapshot_id: row.snapshot.to_string(),
        provenance: provenance(&record),
        snapshot_verified,
        signature: signature(exchange, repo, &record).await?,
        reported: reported(&record),
        diff: diff::view(exchange, repo, parent, id, choice).await?,
        commit: crate::pages::CommitRow { message: first.to_owned(), ..views::commit(row.clone()) },
    };
    render(exchange, &page)
}

/// The first line of a message that is not blank, and what follows it.
fn split_message(message: &str) -> (&str, &str) {
    let message = message.trim();
    let (first, body) = message.split_once('\n').unwrap_or((message, ""));
    (first.trim_end(), body.trim_start_matches(['\n', '\r']).trim_end())
}

fn provenance(record: &Commit) -> Provenance {
    let text = |field: &str| cut(record.text(field));
    let metadata = record.record().get("metadata").and_then(Value::as_object);
    let notes = || metadata.into_iter().flatten();
    let note = |(name, value): (&String, &Value)| Note { name: cut(name), text: cut(&said(value)) };
    Provenance {
        agent_id: text("agent_id"),
        model_id: text("model_id"),
        toolchain_id: text("toolchain_id"),
        prompt_hash: text("prompt_hash"),
        reviewed_by: texts(record, "reviewed_by").0,
        test_runs: record.record().get("test_runs").and_then(Value::as_u64).unwrap_or(0),
        metadata: notes().take(ENTRIES).map(note).collect(),
        metadata_omitted: notes().count().saturating_sub(ENTRIES) as u64,
    }
}

/// What is known of the commit's signature, and the key that its record names.
async fn signature(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    record: &Commit,
) -> Result<SignatureView, ApiError> {
    let states = exchange.app.hub.signature_states(repo, &[record.id()]).await?;
    let known = states.into_iter().next().map_or(Known::Unsigned, |(_, state)| state);
    let (state, signer, retired_at) = match known {
        Known::Valid { signer, .. } => (SignatureState::Valid, Some(signer), None),
        Known::RetiredKey { signer, since, .. } => (SignatureState::RetiredKey, Some(signer), Some(since)),
        Known::UnknownKey { .. } => (SignatureState::UnknownKey, None, None),
        Known::Invalid => (SignatureState::Invalid, None, None),
        Known::Unverifiable => (SignatureState::Unverifiable, None, None),
        Known::Unsigned => (SignatureState::Unsigned, None, None),
    };
    let key = [record.text("signer_public_key"), record.text("signer_key_id")];
    let key = key.into_iter().find(|key| !key.is_empty()).unwrap_or_default();
    Ok(SignatureView {
        state,
        signer: signer.map(|signer| signer.to_string()),
        retired_at: retired_at.map(|since| since.to_string()),
        key: cut(key),
    })
}

fn reported(record: &Commit) -> Reported {
    let bump = record.text("sem_ver_bump");
    let (breaking, omitted) = texts(record, "breaking_changes");
    Reported {
        bump: ["major", "minor", "patch"].contains(&bump).then(|| bump.to_owned()),
        breaking,
        breaking_omitted: omitted as u64,
    }
}

/// The first texts of a list in a record, and how many more there are.
fn texts(record: &Commit, field: &str) -> (Vec<String>, usize) {
    let list = record.record().get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let texts = list.iter().filter_map(Value::as_str);
    (texts.clone().take(ENTRIES).map(cut).collect(), texts.count().saturating_sub(ENTRIES))
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(ENTRY_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_first_line_and_the_rest() {
        assert_eq!(split_message("subject"), ("subject", ""));
        assert_eq!(split_message("\n subject \r\n\r\n  body\nmore\n\n"), ("subject", "  body\nmore"));
        assert_eq!(split_message(" \n "), ("", ""));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(ENTRY_CHARS)), "é".repeat(ENTRY_CHARS));
        assert_eq!(cut(&"é".repeat(9_000)).chars().count(), ENTRY_CHARS + 1);
    }
}
