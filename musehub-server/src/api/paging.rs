//! Lists, page by page.

use std::str::FromStr;

use utoipa::IntoParams;

use crate::app::Exchange;
use crate::http::ApiError;

/// Rows of a page where the request names no number.
const DEFAULT_LIMIT: u32 = 30;

/// The most rows of a page.
pub(crate) const MAX_LIMIT: u32 = 100;

/// A page of a list
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described: the handler reads the query")]
pub(crate) struct PageQuery {
    /// How many rows it has at most: 1 to 100, 30 where this is left out.
    limit: Option<u32>,
    /// The `next_cursor` of the page before it.
    cursor: Option<String>,
}

impl Exchange<'_> {
    /// How many rows a page has: `limit` of the query, from 1 to [`MAX_LIMIT`].
    ///
    /// # Errors
    /// 422 for anything else.
    pub(crate) fn limit(&self) -> Result<u32, ApiError> {
        let Some(text) = self.query("limit") else {
            return Ok(DEFAULT_LIMIT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| ApiError::invalid(format!("'limit' is a number from 1 to {MAX_LIMIT}")))
    }

    /// Where a page begins: `cursor` of the query, as the page before it answered it; none for the first.
    ///
    /// # Errors
    /// 422 for what no page answered.
    pub(crate) fn cursor<T: FromStr>(&self) -> Result<Option<T>, ApiError> {
        let cursor = self.query("cursor").map(|text| text.parse());
        cursor.transpose().map_err(|_| ApiError::invalid("'cursor' is the 'next_cursor' of another page"))
    }
}
