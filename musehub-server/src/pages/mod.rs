//! HTML pages: templates, stylesheet, view structs and the renderer.
//!
//! A page is one template and one plain-data view struct. Handlers fill the view and call
//! [`Pages::render`]; nothing in here reads a clock, a database or a request. Templates and assets
//! are embedded in the binary.
//!
//! Every value printed by a template is escaped, and the `safe` filter is removed, so a template
//! cannot opt out. Pages carry no script and no inline style: they work under
//! [`CONTENT_SECURITY_POLICY`].

mod assets;
mod changes;
mod diff;
mod filters;
mod highlight;
mod proposals;
mod prose;
mod views;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;

pub use assets::{Asset, asset};
pub use changes::{
    ApartView, BranchEntry, BranchListPage, CommitPage, ComparePage, DiffFile, DiffHunk, DiffKind, DiffLine,
    DiffMode, DiffRow, DiffTotals, DiffView, EndKind, EndView, FileFate, LineFate, Note, ParentView,
    Provenance, Reported, SignatureState, SignatureView, Standing, TagEntry, TagListPage,
};
pub use highlight::{CodeLine, Highlighted, MAX_LINE_BYTES, highlight, plain_lines};
pub use proposals::{
    ApprovalsView, ConflictChange, ConflictVersion, ConflictView, EntryFate, EntryView, MergeView,
    ProposalFate, ProposalListPage, ProposalPage, ProposalRow, ProposalTab, ProposalTotals, ReviewView,
};
pub use views::{
    BlobContent, BlobKind, BlobPage, BranchRow, BreakageCounts, BreakageFilter, BreakagePage, BreakageScan,
    CommitListPage, CommitRow, Crumb, EntryKind, ErrorPage, GroupRow, Grouping, HelpView, HomePage,
    IntelDashboardPage, IssueRow, JobState, PlaceView, Point, RemovalView, RepoContent, RepoCounts,
    RepoHeader, RepoHomePage, RepoListRow, Severity, TreeEntry, TreePage, Trend, VersionView, Visibility,
};

/// The policy these pages are written for; to be sent with every one of them.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Template instructions one page may execute. A repository with a thousand entries in its root
/// takes some 90,000.
const FUEL: u64 = 500_000;

const TEMPLATES: &[(&str, &str)] = &[
    ("blob.html", include_str!("templates/blob.html")),
    ("branches.html", include_str!("templates/branches.html")),
    ("breakage.html", include_str!("templates/breakage.html")),
    ("breakage_parts.html", include_str!("templates/breakage_parts.html")),
    ("commit.html", include_str!("templates/commit.html")),
    ("commits.html", include_str!("templates/commits.html")),
    ("compare.html", include_str!("templates/compare.html")),
    ("diff_parts.html", include_str!("templates/diff_parts.html")),
    ("error.html", include_str!("templates/error.html")),
    ("file_parts.html", include_str!("templates/file_parts.html")),
    ("home.html", include_str!("templates/home.html")),
    ("icons.html", include_str!("templates/icons.html")),
    ("intel.html", include_str!("templates/intel.html")),
    ("layout.html", include_str!("templates/layout.html")),
    ("proposal.html", include_str!("templates/proposal.html")),
    ("proposal_parts.html", include_str!("templates/proposal_parts.html")),
    ("proposals.html", include_str!("templates/proposals.html")),
    ("repo.html", include_str!("templates/repo.html")),
    ("repo_parts.html", include_str!("templates/repo_parts.html")),
    ("tags.html", include_str!("templates/tags.html")),
    ("tree.html", include_str!("templates/tree.html")),
];

/// A view that knows which template shows it.
pub trait Page: Serialize {
    /// Name of the embedded template.
    const TEMPLATE: &'static str;
}

/// Renders views to HTML. Build it once and share it; rendering takes `&self`.
#[derive(Debug)]
pub struct Pages {
    templates: Environment<'static>,
}

impl Pages {
    /// Compiles the embedded templates.
    pub fn new() -> Pages {
        let mut env = Environment::new();
        env.remove_filter("safe");
        env.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("default delimiters are valid"),
        );
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        env.set_formatter(filters::write_escaped);
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.add_filter("clock", filters::clock);
        env.add_filter("code", highlight::code);
        env.add_filter("day", filters::day);
        env.add_filter("diff_query", filters::diff_query);
        env.add_filter("filesize", filters::filesize);
        env.add_filter("first_line", filters::first_line);
        env.add_filter("fmtnum", filters::fmtnum);
        env.add_filter("path_dir", filters::path_dir);
        env.add_filter("path_name", filters::path_name);
        env.add_filter("hunks", diff::hunks);
        env.add_filter("plural", filters::plural);
        env.add_filter("prose", prose::prose);
        env.add_filter("selection", filters::selection);
        env.add_filter("short_id", filters::short_id);
        env.add_filter("urlpath", filters::urlpath);
        env.add_filter("urlquery", filters::urlquery);
        env.add_filter("when", filters::when);
        env.add_global("css_href", assets::stylesheet_href());
        env.add_global("favicon_href", assets::favicon_href());
        env.add_global("version", env!("CARGO_PKG_VERSION"));
        for (name, source) in TEMPLATES {
            env.add_template(name, source).expect("embedded templates parse, as the tests show");
        }
        Pages { templates: env }
    }

    /// Renders one page.
    ///
    /// # Errors
    ///
    /// Only when the template and its view disagree, or when the view is so large that the
    /// instruction limit is reached: callers bound the rows of a page.
    pub fn render<P: Page>(&self, page: &P) -> Result<String, Error> {
        self.templates.get_template(P::TEMPLATE)?.render(Serde(page))
    }
}

impl Default for Pages {
    fn default() -> Pages {
        Pages::new()
    }
}
