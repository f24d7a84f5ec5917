//! The list of branches.

use std::collections::HashMap;

use musehub_core::CommitId;
use musehub_core::port::{self, BranchRow};

use super::{render, views};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};
use crate::pages::{ApartView, BranchEntry, BranchListPage};

/// Rows of a page.
const BRANCHES: usize = 30;
/// How many commits are visited for each to find out how far it is from the default branch.
const VISITS: usize = 1_000;

/// `GET /{owner}/{slug}/branches`
pub(crate) async fn branches(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let hub = &exchange.app.hub;
    let refs = hub.refs(repo).await?;
    let total = refs.branches.len();
    let pages = total.div_ceil(BRANCHES).max(1);
    let page = exchange.query("page").and_then(|text| text.parse::<usize>().ok());
    let page = page.filter(|page| (1..=pages).contains(page)).unwrap_or(1);

    let default = refs.branches.iter().find(|row| row.name == refs.default_branch).cloned();
    let mut rows: Vec<&BranchRow> = refs.branches.iter().collect();
    rows.sort_by_key(|row| (row.name != refs.default_branch, std::cmp::Reverse(row.moved_at)));
    let rows: Vec<&BranchRow> = rows.into_iter().skip((page - 1) * BRANCHES).take(BRANCHES).collect();
    let mut heads: Vec<CommitId> = rows.iter().map(|row| row.head).collect();
    heads.sort_unstable();
    heads.dedup();
    let heads: HashMap<CommitId, port::CommitRow> =
        hub.commit_rows(repo, &heads).await?.into_iter().map(|row| (row.id, row)).collect();

    let mut branches = Vec::with_capacity(rows.len());
    for row in rows {
        let apart = match &default {
            Some(default) if default.name != row.name => {
                let apart = hub.divergence(repo, default.head, row.head, VISITS).await?;
                Some(ApartView {
                    ahead: apart.right.len() as u64,
                    behind: apart.left.len() as u64,
                    exact: apart.complete,
                })
            }
            _ => None,
        };
        branches.push(BranchEntry {
            name: row.name.to_string(),
            is_default: row.name == refs.default_branch,
            is_protected: repo.settings.protection(&row.name).is_some(),
            head: views::commit(heads[&row.head].clone()),
            moved_at: row.moved_at.to_string(),
            apart,
        });
    }
    let page = BranchListPage {
        repo: views::header(repo),
        branches,
        total: total as u64,
        page: page as u64,
        pages: pages as u64,
    };
    render(exchange, &page)
}
