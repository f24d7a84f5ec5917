//! The list of tags.

use std::collections::HashMap;

use musehub_core::CommitId;
use musehub_core::port;

use super::{render, views};
use crate::api;
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{TagEntry, TagListPage};

/// Rows of a page.
const TAGS: u32 = 30;

/// `GET /{owner}/{slug}/tags`, for people.
pub(crate) async fn tags(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    // A page that nothing leads to is the first one.
    let after = exchange.query("cursor").and_then(|text| text.parse().ok());
    let is_first = after.is_none();
    let (tags, next) = api::tags::page(exchange, after, TAGS).await?;
    let mut commits: Vec<CommitId> = tags.iter().map(|tag| tag.commit).collect();
    commits.sort_unstable();
    commits.dedup();
    let rows = exchange.app.hub.commit_rows(repo, &commits).await?;
    let commits: HashMap<CommitId, port::CommitRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let entry = |tag: musehub_core::release::CommitTag| TagEntry {
        commit: views::commit(commits[&tag.commit].clone()),
        label: tag.label,
        tagger: tag.tagger.to_string(),
        created_at: tag.created_at,
    };
    let page = TagListPage {
        repo: views::header(repo),
        tags: tags.into_iter().map(entry).collect(),
        is_first,
        next_cursor: next.map(|cursor| cursor.to_string()),
    };
    render(exchange, &page)
}
