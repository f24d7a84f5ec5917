//! Proposals to merge branches, and what people say of them.

pub(in crate::index) mod proposal {
    use sea_orm::entity::prelude::*;

    use crate::index::entity::repo::repository;
    use crate::index::schema::declared::{Declared, Index};

    /// A proposal to merge a branch into another.
    ///
    /// Read one by one by its number (`ProposalStore::proposal`), listed by what became of it, by author and by branch
    /// (`ProposalStore::proposals`), and counted (`ProposalStore::proposal_counts`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_proposals")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// Its number in the repository, from 1 without a gap.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        /// Counts its changes, its conversation apart.
        pub version: i64,
        /// What it is called.
        #[sea_orm(column_type = "Text")]
        pub title: String,
        /// What it is about.
        #[sea_orm(column_type = "Text")]
        pub description: String,
        /// The branch to be merged; one open proposal for each pair of branches.
        #[sea_orm(column_type = "String(StringLen::N(255))")]
        pub from_branch: String,
        /// The branch to merge into.
        #[sea_orm(column_type = "String(StringLen::N(255))")]
        pub to_branch: String,
        /// Who made it, as they write it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub author: String,
        /// `author` in lower case: names compare without case.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub author_key: String,
        /// `open`, `closed` or `merged`.
        #[sea_orm(column_type = "String(StringLen::N(16))")]
        pub state: String,
        /// Whether its author is not done.
        pub draft: bool,
        /// The last head of the branch to be merged that the other branch was seen not to have.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub head_commit_id: String,
        /// The head of the branch to merge into at that time.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub base_commit_id: String,
        /// The head with it, of a merge that was made or begun; none before one.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub merge_commit_id: Option<String>,
        /// What that merge merges.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub merge_source_id: Option<String>,
        /// The head before it.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub merge_target_id: Option<String>,
        /// Who merges; none where a push brought the commits.
        #[sea_orm(column_type = "String(StringLen::N(64))", nullable)]
        pub merged_by: Option<String>,
        /// When it was merged.
        pub merged_at: Option<i64>,
        /// When it was made.
        pub created_at: i64,
        /// When it or its conversation changed last.
        pub updated_at: i64,
        /// When it was closed or merged; none while it is open.
        pub closed_at: Option<i64>,
        /// How many entries its conversation has.
        pub entries: i64,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its repository.
        #[sea_orm(
            belongs_to = "repository::Entity",
            from = "Column::RepoId",
            to = "repository::Column::RepoId",
            on_delete = "Cascade"
        )]
        Repository,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {
        const INDEXES: &'static [Index<Column>] = &[
            Index::of("ux_proposals_open", &[Column::RepoId, Column::FromBranch, Column::ToBranch])
                .unique()
                .only_where("state = 'open'"),
            Index::of("ix_proposals_state", &[Column::RepoId, Column::State, Column::Number]),
            Index::of("ix_proposals_author", &[Column::RepoId, Column::AuthorKey, Column::Number]),
            Index::of("ix_proposals_source", &[Column::RepoId, Column::FromBranch, Column::Number]),
            Index::of("ix_proposals_target", &[Column::RepoId, Column::ToBranch, Column::Number]),
        ];
    }
}

pub(in crate::index) mod entry {
    use sea_orm::entity::prelude::*;

    use super::proposal;
    use crate::index::schema::declared::Declared;

    /// What was said of a proposal, or what happened to it.
    ///
    /// Read page by page in the order of ids (`ProposalConversations::proposal_entries`), and one by one before it is
    /// changed (`ProposalConversations::proposal_entry`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_proposal_entries")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The proposal.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        /// Counts the entries of the proposal, from 1 without a gap.
        #[sea_orm(primary_key, auto_increment = false)]
        pub entry_id: i64,
        /// What it is, e.g. `comment`.
        #[sea_orm(column_type = "String(StringLen::N(32))")]
        pub kind: String,
        /// Whose it is; none of what a push did.
        #[sea_orm(column_type = "String(StringLen::N(64))", nullable)]
        pub author: Option<String>,
        /// What they wrote; empty where that was deleted.
        #[sea_orm(column_type = "Text")]
        pub body: String,
        /// The commit that it is about.
        #[sea_orm(column_type = "String(StringLen::N(128))", nullable)]
        pub commit_id: Option<String>,
        /// Whom or what else it is about.
        #[sea_orm(column_type = "Text", nullable)]
        pub subject: Option<String>,
        /// When.
        pub created_at: i64,
        /// When it was changed or deleted last; none where it never was.
        pub edited_at: Option<i64>,
        /// Whether what was written was deleted.
        pub deleted: bool,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its proposal.
        #[sea_orm(
            belongs_to = "proposal::Entity",
            from = "(Column::RepoId, Column::Number)",
            to = "(proposal::Column::RepoId, proposal::Column::Number)",
            on_delete = "Cascade"
        )]
        Proposal,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}

pub(in crate::index) mod review {
    use sea_orm::entity::prelude::*;

    use super::proposal;
    use crate::index::schema::declared::Declared;

    /// The verdict that stands for a reviewer of a proposal.
    ///
    /// Read whole per proposal (`ProposalConversations::proposal_reviews`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_proposal_reviews")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The proposal.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        /// `reviewer` in lower case: one verdict each.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(64))")]
        pub reviewer_key: String,
        /// Who, as they write it.
        #[sea_orm(column_type = "String(StringLen::N(64))")]
        pub reviewer: String,
        /// `approved` or `changes_requested`.
        #[sea_orm(column_type = "String(StringLen::N(32))")]
        pub verdict: String,
        /// The commit that was reviewed.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub commit_id: String,
        /// The entry in which the verdict was given.
        pub entry_id: i64,
        /// When.
        pub created_at: i64,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its proposal.
        #[sea_orm(
            belongs_to = "proposal::Entity",
            from = "(Column::RepoId, Column::Number)",
            to = "(proposal::Column::RepoId, proposal::Column::Number)",
            on_delete = "Cascade"
        )]
        Proposal,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}

pub(in crate::index) mod check {
    use sea_orm::entity::prelude::*;

    use super::proposal;
    use crate::index::schema::declared::Declared;

    /// Whether the heads of a proposal can be merged, as it was found last. Can be computed again at any time.
    ///
    /// Read where a proposal is shown or merged (`ProposalStore::proposal_check`).
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "musehub_proposal_checks")]
    pub struct Model {
        /// The repository.
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(128))")]
        pub repo_id: String,
        /// The proposal.
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        /// The head of the branch to be merged.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub source_id: String,
        /// The head of the branch to merge into.
        #[sea_orm(column_type = "String(StringLen::N(128))")]
        pub target_id: String,
        /// What was found, as JSON; conflicts with their paths and versions.
        #[sea_orm(column_type = "Text")]
        pub found: String,
    }

    /// What it refers to.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        /// Its proposal.
        #[sea_orm(
            belongs_to = "proposal::Entity",
            from = "(Column::RepoId, Column::Number)",
            to = "(proposal::Column::RepoId, proposal::Column::Number)",
            on_delete = "Cascade"
        )]
        Proposal,
    }

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}
