//! Drift of a PostgreSQL database.

use musehub_test_services::Engine;

use super::{Drift, assert_drifts, assert_sample_drifts, migrated, report};

const DRIFTS: &[(&str, &[&str])] = &[
    ("DROP TABLE musehub_intel_facts", &["musehub_intel_facts: table is missing"]),
    ("CREATE TABLE musehub_issue_labels (label text)", &["musehub_issue_labels: table is not declared"]),
    (
        "ALTER TABLE musehub_objects DROP COLUMN size",
        &["musehub_objects: column size is missing, should be bigint not null"],
    ),
    (
        "ALTER TABLE musehub_objects ADD COLUMN path text COLLATE \"C\"",
        &["musehub_objects: column path is not declared, is text null"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN owner TYPE varchar(32) COLLATE \"C\"",
        &["musehub_repos: type of column owner is varchar(32), should be varchar(64)"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN owner TYPE varchar(64) COLLATE \"default\"",
        &["musehub_repos: type of column owner is varchar(64) collate default, should be varchar(64)"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN deleted TYPE integer USING deleted::integer",
        &["musehub_repos: type of column deleted is integer, should be boolean"],
    ),
    (
        "ALTER TABLE musehub_objects ALTER COLUMN size TYPE integer",
        &["musehub_objects: type of column size is integer, should be bigint"],
    ),
    (
        "ALTER TABLE musehub_intel_facts ALTER COLUMN facts TYPE json USING facts::json",
        &["musehub_intel_facts: type of column facts is json, should be text"],
    ),
    (
        "ALTER TABLE musehub_intel_facts ALTER COLUMN facts TYPE jsonb USING facts::jsonb",
        &["musehub_intel_facts: type of column facts is jsonb, should be text"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN slug DROP NOT NULL",
        &["musehub_repos: nullability of column slug is null, should be not null"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN scheme SET NOT NULL",
        &["musehub_repos: nullability of column scheme is not null, should be null"],
    ),
    (
        "ALTER TABLE musehub_intel_breakage_issues ALTER COLUMN column_number SET DEFAULT 2",
        &["musehub_intel_breakage_issues: default of column column_number is 2, should be 1"],
    ),
    (
        "ALTER TABLE musehub_intel_breakage_issues ALTER COLUMN help DROP DEFAULT",
        &["musehub_intel_breakage_issues: default of column help is missing, should be '{}'"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN version SET DEFAULT 0",
        &["musehub_repos: default of column version is not declared, is 0"],
    ),
    (
        "ALTER TABLE musehub_intel_facts DROP CONSTRAINT musehub_intel_facts_pkey, ADD PRIMARY KEY (blob_id, kind)",
        &["musehub_intel_facts: primary key is (blob_id, kind), should be (kind, blob_id)"],
    ),
    (
        "ALTER TABLE musehub_identities DROP CONSTRAINT musehub_identities_handle_key_key CASCADE",
        &[
            "musehub_auth_keys: foreign key (handle_key) to musehub_identities is missing, should be (handle_key) on delete \
             cascade on update no action",
            "musehub_collaborators: foreign key (handle_key) to musehub_identities is missing, should be (handle_key) on delete \
             cascade on update no action",
            "musehub_identities: unique constraint (handle_key) is missing",
        ],
    ),
    (
        "ALTER TABLE musehub_objects ADD UNIQUE (storage_uri)",
        &["musehub_objects: unique constraint (storage_uri) is not declared"],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, \
            ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE SET NULL",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete set null on update no action, \
            should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is missing, should be (handle) on delete cascade on \
            update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_object_refs ADD FOREIGN KEY (object_id) REFERENCES musehub_objects (object_id)",
        &[
            "musehub_object_refs: foreign key (object_id) to musehub_objects is not declared, is (object_id) on delete no \
            action on update no action",
        ],
    ),
    ("DROP INDEX ix_commits_id", &["musehub_commits: index ix_commits_id is missing, should be (commit_id)"]),
    (
        "CREATE INDEX ix_commits_author ON musehub_commits (author)",
        &["musehub_commits: index ix_commits_author is not declared, is (author)"],
    ),
    (
        "DROP INDEX ux_repos_name; CREATE UNIQUE INDEX ux_repos_name ON musehub_repos (slug_key, owner_key)",
        &[
            "musehub_repos: index ux_repos_name is unique (slug_key, owner_key), should be unique (owner_key, slug_key)",
        ],
    ),
    (
        "DROP INDEX ux_repos_name; CREATE INDEX ux_repos_name ON musehub_repos (owner_key, slug_key)",
        &[
            "musehub_repos: index ux_repos_name is (owner_key, slug_key), should be unique (owner_key, slug_key)",
        ],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id DESC)",
        &["musehub_commits: index ix_commits_id is (commit_id DESC), should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits USING hash (commit_id)",
        &["musehub_commits: index ix_commits_id is (commit_id) using hash, should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id) INCLUDE (size)",
        &["musehub_commits: index ix_commits_id is (commit_id, included size), should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id) WHERE size > 0",
        &["musehub_commits: condition of index ix_commits_id is not declared, is size > 0"],
    ),
    (
        "DROP INDEX ix_background_jobs_claim; CREATE INDEX ix_background_jobs_claim \
            ON musehub_background_jobs (priority, created_at, run_at, job_type) WHERE status = 'pending'",
        &[
            "musehub_background_jobs: condition of index ix_background_jobs_claim is status::text = 'pending'::text, should \
            be status IN ('pending', 'running')",
        ],
    ),
    (
        "ALTER TABLE musehub_intel_facts DROP CONSTRAINT musehub_intel_facts_pkey",
        &["musehub_intel_facts: primary key is (), should be (kind, blob_id)"],
    ),
    (
        "ALTER TABLE musehub_repos ALTER COLUMN version ADD GENERATED ALWAYS AS IDENTITY",
        &["musehub_repos: default of column version is not declared, is an identity"],
    ),
    (
        "ALTER TABLE musehub_objects DROP COLUMN size, ADD COLUMN size bigint NOT NULL GENERATED ALWAYS AS (length(object_id)) STORED",
        &[
            "musehub_objects: default of column size is not declared, is generated as length((object_id)::text)",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE CASCADE ON UPDATE CASCADE",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update cascade, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (lower(commit_id))",
        &[
            "musehub_commits: index ix_commits_id is (lower(commit_id::text) COLLATE C), should be (commit_id)",
        ],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id COLLATE \"POSIX\")",
        &["musehub_commits: index ix_commits_id is (commit_id COLLATE POSIX), should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id varchar_pattern_ops)",
        &["musehub_commits: index ix_commits_id is (commit_id varchar_pattern_ops), should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id NULLS FIRST)",
        &["musehub_commits: index ix_commits_id is (commit_id NULLS FIRST), should be (commit_id)"],
    ),
    (
        "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id DESC NULLS LAST)",
        &["musehub_commits: index ix_commits_id is (commit_id DESC NULLS LAST), should be (commit_id)"],
    ),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_commits_id'::regclass",
        &["musehub_commits: index ix_commits_id is (commit_id) not valid, should be (commit_id)"],
    ),
    (
        "DROP INDEX ux_repos_name; CREATE UNIQUE INDEX ux_repos_name ON musehub_repos (owner_key, slug_key) NULLS NOT DISTINCT",
        &[
            "musehub_repos: index ux_repos_name is unique (owner_key, slug_key) NULLS NOT DISTINCT, should be unique (owner_key, slug_key)",
        ],
    ),
    (
        "ALTER TABLE musehub_objects ADD CONSTRAINT small CHECK (size < 100)",
        &["musehub_objects: constraint small is not declared, is CHECK ((size < 100))"],
    ),
    (
        "ALTER TABLE musehub_objects ADD CONSTRAINT alone EXCLUDE (storage_uri WITH =)",
        &["musehub_objects: constraint alone is not declared, is EXCLUDE USING btree (storage_uri WITH =)"],
    ),
    (
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER lose BEFORE INSERT ON musehub_objects FOR EACH ROW EXECUTE FUNCTION lose()",
        &[
            "musehub_objects: trigger lose is not declared, is CREATE TRIGGER lose BEFORE INSERT ON musehub_objects FOR EACH ROW EXECUTE FUNCTION lose()",
        ],
    ),
    (
        "CREATE RULE lose AS ON INSERT TO musehub_objects DO INSTEAD NOTHING",
        &[
            "musehub_objects: rule lose is not declared, is CREATE RULE lose AS ON INSERT TO musehub_objects DO INSTEAD NOTHING;",
        ],
    ),
    (
        "ALTER TABLE musehub_objects ENABLE ROW LEVEL SECURITY",
        &["musehub_objects: kind is table (row-level security), should be table"],
    ),
    (
        "ALTER TABLE musehub_objects FORCE ROW LEVEL SECURITY",
        &["musehub_objects: kind is table (row-level security forced), should be table"],
    ),
    (
        "CREATE POLICY small ON musehub_objects USING (size < 100)",
        &["musehub_objects: policy small is not declared, is USING (size < 100)"],
    ),
    (
        "ALTER TABLE musehub_intel_facts SET UNLOGGED",
        &["musehub_intel_facts: kind is table (unlogged), should be table"],
    ),
    (
        "ALTER TABLE musehub_intel_facts DROP CONSTRAINT musehub_intel_facts_pkey, ADD PRIMARY KEY (kind, blob_id) DEFERRABLE",
        &["musehub_intel_facts: primary key is (kind, blob_id) DEFERRABLE, should be (kind, blob_id)"],
    ),
    (
        "ALTER TABLE musehub_identities ADD UNIQUE (handle_key) DEFERRABLE INITIALLY DEFERRED",
        &[
            "musehub_identities: unique constraint (handle_key) is (handle_key) and (handle_key) DEFERRABLE INITIALLY DEFERRED, should be (handle_key)",
        ],
    ),
    (
        "ALTER TABLE musehub_identities ADD UNIQUE NULLS NOT DISTINCT (handle_key)",
        &[
            "musehub_identities: unique constraint (handle_key) is (handle_key) and (handle_key) NULLS NOT DISTINCT, should be (handle_key)",
        ],
    ),
    (
        "ALTER TABLE musehub_identities ADD UNIQUE (handle_key)",
        &[
            "musehub_identities: unique constraint (handle_key) is (handle_key) and (handle_key), should be (handle_key)",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE CASCADE NOT VALID",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action NOT VALID, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE CASCADE DEFERRABLE",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action DEFERRABLE, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action DEFERRABLE INITIALLY DEFERRED, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) MATCH FULL ON DELETE CASCADE",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action MATCH FULL, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens DISABLE TRIGGER ALL",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action not enforced, as its triggers are disabled, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "ALTER TABLE musehub_tokens ADD FOREIGN KEY (handle) REFERENCES musehub_identities (handle) ON DELETE SET NULL",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action and (handle) on delete set null on update no action, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "CREATE SCHEMA other; CREATE TABLE other.musehub_identities (LIKE musehub_identities INCLUDING ALL); ALTER TABLE musehub_tokens DROP CONSTRAINT fk_tokens_identity, ADD FOREIGN KEY (handle) REFERENCES other.musehub_identities (handle) ON DELETE CASCADE",
        &[
            "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update no action in other, should be (handle) on delete cascade on update no action",
        ],
    ),
    (
        "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts (kind varchar(64) COLLATE \"C\" NOT NULL, blob_id varchar(128) COLLATE \"C\" NOT NULL, facts text COLLATE \"C\" NOT NULL, PRIMARY KEY (kind, blob_id)) PARTITION BY LIST (kind)",
        &["musehub_intel_facts: kind is table (partitioned), should be table"],
    ),
    (
        "DROP TABLE musehub_intel_facts; CREATE VIEW musehub_intel_facts AS SELECT 'python' AS kind, 'id' AS blob_id, '{}' AS facts",
        &["musehub_intel_facts: kind is view, should be table"],
    ),
    (
        "CREATE VIEW musehub_names AS SELECT owner FROM musehub_repos",
        &["musehub_names: table is not declared, is view"],
    ),
    (
        "CREATE MATERIALIZED VIEW musehub_names AS SELECT owner FROM musehub_repos",
        &["musehub_names: table is not declared, is materialized view"],
    ),
    (
        "CREATE TABLE more_facts () INHERITS (musehub_intel_facts)",
        &["musehub_intel_facts: kind is table (inherited by more_facts), should be table"],
    ),
    (
        "CREATE TABLE facts (kind varchar(64) COLLATE \"C\" NOT NULL, blob_id varchar(128) COLLATE \"C\" NOT NULL, facts text COLLATE \"C\" NOT NULL); ALTER TABLE musehub_intel_facts INHERIT facts",
        &["musehub_intel_facts: kind is table (inherits facts), should be table"],
    ),
];

#[tokio::test]
async fn every_kind_of_drift_is_one_line_and_keeps_the_hub_from_starting() {
    let drifts = DRIFTS.iter().map(|(script, lines)| Drift { script: (*script).to_owned(), lines });
    assert_drifts(Engine::Postgres, drifts.collect()).await;
}

#[tokio::test]
async fn its_spelling_of_a_condition_is_benign() {
    let report = report(&migrated(Engine::Postgres).await).await;
    assert!(report.benign.iter().any(|(difference, _)| difference.table == "musehub_background_jobs"));
}

#[tokio::test]
async fn every_type_and_default_is_told_from_its_neighbours() {
    let as_declared = "big bigint PRIMARY KEY NOT NULL, whole integer NOT NULL, flag boolean NOT NULL DEFAULT FALSE, \
        plain json NOT NULL, \"binary\" jsonb, short varchar(8) COLLATE \"C\" NOT NULL DEFAULT 'it''s', \
        below bigint NOT NULL DEFAULT -1, bytes bytea NOT NULL, ratio double precision NOT NULL";
    let drifts = [
        ("whole integer", "whole bigint", "type of column whole is bigint, should be integer"),
        ("whole integer", "whole smallint", "type of column whole is smallint, should be integer"),
        ("big bigint", "big integer", "type of column big is integer, should be bigint"),
        ("big bigint", "big numeric(20,0)", "type of column big is numeric(20,0), should be bigint"),
        ("plain json", "plain jsonb", "type of column plain is jsonb, should be json"),
        ("plain json", "plain text COLLATE \"C\"", "type of column plain is text, should be json"),
        ("\"binary\" jsonb", "\"binary\" json", "type of column binary is json, should be jsonb"),
        ("varchar(8)", "varchar(80)", "type of column short is varchar(80), should be varchar(8)"),
        ("varchar(8)", "varchar", "type of column short is varchar, should be varchar(8)"),
        ("varchar(8)", "text", "type of column short is text, should be varchar(8)"),
        ("varchar(8)", "char(8)", "type of column short is character(8), should be varchar(8)"),
        ("bytes bytea", "bytes text COLLATE \"C\"", "type of column bytes is text, should be bytea"),
        ("ratio double precision", "ratio real", "type of column ratio is real, should be double precision"),
        ("DEFAULT FALSE", "DEFAULT TRUE", "default of column flag is true, should be FALSE"),
        ("'it''s'", "'its'", "default of column short is 'its'::character varying, should be 'it''s'"),
        ("DEFAULT -1", "DEFAULT 1", "default of column below is 1, should be -1"),
    ];
    assert_sample_drifts(Engine::Postgres, as_declared, &drifts).await;
}
