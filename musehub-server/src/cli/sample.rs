//! The sample project of the demonstration: a small Python package over a few commits on two branches. Its last commit on
//! `main` renames a function and removes a module that other files still import.

use std::collections::{BTreeMap, HashMap, HashSet};

use musehub_core::scheme::flat_v1;
use musehub_core::{BlobId, CommitId, SnapshotId};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

/// A history, ready to be pushed.
pub(super) struct Sample {
    /// Branches and their heads, in the order in which they are pushed.
    pub(super) branches: Vec<(String, String)>,
    commits: Vec<Value>,
    snapshots: HashMap<String, Value>,
    blobs: HashMap<String, &'static str>,
}

type Files = BTreeMap<&'static str, &'static str>;

/// Builds the sample. The same history, ids and all, every time.
pub(super) fn build() -> Sample {
    let mut sample = Sample {
        branches: Vec::new(),
        commits: Vec::new(),
        snapshots: HashMap::new(),
        blobs: HashMap::new(),
    };
    let mut files = Files::from([
        ("README.md", README),
        ("pyproject.toml", PYPROJECT),
        ("starship/__init__.py", INIT),
        ("starship/engine.py", ENGINE),
        ("starship/hull.py", HULL),
        ("tests/__init__.py", ""),
        ("tests/test_engine.py", TEST_ENGINE),
    ]);
    let first = sample.commit("main", &[], "Lay the keel", "ada", "2026-03-02T09:00:00+00:00", &files);
    files.insert("starship/navigation.py", NAVIGATION);
    files.insert("starship/bridge.py", BRIDGE);
    files.insert("tests/test_navigation.py", TEST_NAVIGATION);
    let second =
        sample.commit("main", &[first], "Plot courses", "grace", "2026-03-03T10:30:00+00:00", &files);

    let mut shields = files.clone();
    shields.insert("starship/shields.py", SHIELDS);
    let branch = sample.commit(
        "feature/shields",
        &[second],
        "Raise shields",
        "joan",
        "2026-03-04T08:15:00+00:00",
        &shields,
    );

    files.insert("starship/engine.py", ENGINE_RENAMED);
    files.remove("starship/hull.py");
    let main = sample.commit(
        "main",
        &[second],
        "Rename ignite to start, drop the hull model\n\nThe hull moves to a package of its own.",
        "ada",
        "2026-03-05T16:45:00.250000+00:00",
        &files,
    );
    sample.branches.push(("main".into(), main.to_hex()));
    sample.branches.push(("feature/shields".into(), branch.to_hex()));
    sample
}

impl Sample {
    fn commit(
        &mut self,
        branch: &str,
        parents: &[CommitId],
        message: &str,
        author: &str,
        time: &str,
        files: &Files,
    ) -> CommitId {
        let manifest: BTreeMap<&str, BlobId> =
            files.iter().map(|(path, text)| (*path, flat_v1::blob_id(text.as_bytes()))).collect();
        for (path, blob) in &manifest {
            self.blobs.insert(blob.to_hex(), files[path]);
        }
        let snapshot: SnapshotId = flat_v1::snapshot_id(manifest.iter().map(|(path, blob)| (*path, blob)))
            .expect("a map's paths are in order, and the sample's hold no NUL");
        let paths: BTreeMap<&str, String> =
            manifest.iter().map(|(path, blob)| (*path, blob.to_hex())).collect();
        let record = json!({"snapshot_id": snapshot.to_hex(), "manifest": paths, "created_at": time});
        self.snapshots.insert(snapshot.to_hex(), record);
        let id =
            flat_v1::commit_id(parents, &snapshot, message, time).expect("the sample's texts hold no NUL");
        self.commits.push(json!({
            "commit_id": id.to_hex(),
            "repo_id": "",
            "branch": branch,
            "snapshot_id": snapshot.to_hex(),
            "message": message,
            "committed_at": time,
            "parent_commit_id": parents.first().map(CommitId::to_hex),
            "parent2_commit_id": parents.get(1).map(CommitId::to_hex),
            "author": author,
            "metadata": {},
            "format_version": 5,
        }));
        id
    }

    /// The commits from which `tip` descends, and their snapshots.
    pub(super) fn bundle(&self, tip: &str) -> Value {
        let by_id: HashMap<&str, &Value> =
            self.commits.iter().filter_map(|commit| Some((commit["commit_id"].as_str()?, commit))).collect();
        let mut pending = vec![tip];
        let mut reached = HashSet::new();
        while let Some(id) = pending.pop() {
            if reached.insert(id) {
                pending.extend(by_id[id]["parent_commit_id"].as_str());
            }
        }
        let commits: Vec<&Value> = self
            .commits
            .iter()
            .filter(|commit| commit["commit_id"].as_str().is_some_and(|id| reached.contains(id)))
            .collect();
        let ids: HashSet<&str> = commits.iter().filter_map(|commit| commit["snapshot_id"].as_str()).collect();
        let snapshots: Vec<&Value> = ids.iter().map(|id| &self.snapshots[*id]).collect();
        json!({"commits": commits, "snapshots": snapshots, "objects": []})
    }

    /// The blobs that a bundle's snapshots name, sorted.
    pub(super) fn object_ids(&self, bundle: &Value) -> Vec<String> {
        let snapshots = bundle["snapshots"].as_array().into_iter().flatten();
        let manifests = snapshots.filter_map(|snapshot| snapshot["manifest"].as_object());
        let ids = manifests.flat_map(|manifest| manifest.values().filter_map(Value::as_str));
        let mut ids: Vec<String> = ids.filter(|id| self.blobs.contains_key(*id)).map(str::to_owned).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The body of an upload of blobs.
    pub(super) fn upload(&self, ids: &[String]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        #[derive(serde::Serialize)]
        struct Upload<'a> {
            objects: Vec<Object<'a>>,
        }
        #[derive(serde::Serialize)]
        struct Object<'a> {
            object_id: &'a str,
            content: ByteBuf,
        }
        let object = |id: &'_ String| (id.clone(), ByteBuf::from(self.blobs[id.as_str()].as_bytes()));
        let owned: Vec<(String, ByteBuf)> = ids.iter().map(object).collect();
        let objects =
            owned.iter().map(|(id, content)| Object { object_id: id, content: content.clone() }).collect();
        rmp_serde::to_vec_named(&Upload { objects })
    }
}

const README: &str = "# Starship\n\nA small Python project that a hub can show.\n";

const PYPROJECT: &str = "[project]\nname = \"starship\"\nversion = \"0.1.0\"\n";

const INIT: &str = "\"\"\"A ship that flies.\"\"\"\n\nfrom .engine import ignite\n\n__all__ = [\"ignite\"]\n";

const ENGINE: &str = r#""""What moves the ship."""

from dataclasses import dataclass


@dataclass
class Engine:
    thrust: float = 0.0


def ignite(thrust: float) -> Engine:
    return Engine(thrust)
"#;

const ENGINE_RENAMED: &str = r#""""What moves the ship."""

from dataclasses import dataclass


@dataclass
class Engine:
    thrust: float = 0.0


def start(thrust: float) -> Engine:
    return Engine(thrust)
"#;

const HULL: &str = r#""""What keeps the air in."""

STRENGTH = 100


class Hull:
    def __init__(self, strength: int = STRENGTH) -> None:
        self.strength = strength
"#;

const NAVIGATION: &str = r#""""Where the ship goes."""

import math


def course(x: float, y: float) -> float:
    return math.atan2(y, x)


def distance(x: float, y: float) -> float:
    return math.hypot(x, y)
"#;

const BRIDGE: &str = r#""""Where the ship is flown from."""

from starship.engine import Engine, ignite
from starship.hull import Hull
from starship.navigation import course


class Bridge:
    def __init__(self) -> None:
        self.hull = Hull()
        self.engine: Engine | None = None

    def depart(self, x: float, y: float) -> float:
        self.engine = ignite(1.0)
        return course(x, y)
"#;

const SHIELDS: &str = r#""""What keeps other things out."""

from starship.hull import STRENGTH


def raise_shields() -> int:
    return STRENGTH * 2
"#;

const TEST_ENGINE: &str = r#"from starship.engine import ignite


def test_ignition_gives_thrust() -> None:
    assert ignite(2.0).thrust == 2.0
"#;

const TEST_NAVIGATION: &str = r#"from starship import navigation


def test_distance() -> None:
    assert navigation.distance(3, 4) == 5
"#;
