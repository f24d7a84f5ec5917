//! Random histories of small trees, a driver for merges of them, and a naive model of what a merge must give.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use musehub_core::graph::CommitNode;
use musehub_core::merge::{
    Content, FileStrategy, Merge, MergeOptions, Merged, Outcome, Step, Tree, TreeMerge, TreeStep,
};
use musehub_core::object::Manifest;
use musehub_core::scheme::IdScheme;
use musehub_core::{BlobId, CommitId, HashAlgorithm, RepoPath};

/// How many cases a test tries, and the seed of its first: from the environment, to try more or one again.
pub(crate) fn seeds(default: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("MUSEHUB_MERGE_SEED");
    let count = number("MUSEHUB_MERGE_CASES").unwrap_or(if first.is_some() { 1 } else { default });
    (0..count).map(move |n| first.unwrap_or(0) + n)
}

/// Runs a case, and says how to run it again if it fails.
pub(crate) fn with_seed<T>(seed: u64, case: impl FnOnce(&mut Random) -> T) -> T {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this was MUSEHUB_MERGE_SEED={}", self.0);
            }
        }
    }
    let _named = Named(seed);
    case(&mut Random(seed))
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct File {
    pub(crate) text: String,
    pub(crate) executable: bool,
}

impl File {
    pub(crate) fn is_binary(&self) -> bool {
        self.text.contains('\0')
    }
}

/// Files and recorded directories.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Files {
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) directories: BTreeSet<String>,
}

pub(crate) fn blob(text: &str) -> BlobId {
    IdScheme::TypedV2.blob_id(HashAlgorithm::Blake3, text.as_bytes())
}

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

impl Files {
    pub(crate) fn tree(&self) -> Tree {
        let entries = self.files.iter().map(|(at, file)| (path(at), blob(&file.text)));
        let executables = self.files.iter().filter(|(_, file)| file.executable).map(|(at, _)| path(at));
        Tree::new(
            Manifest::new(entries.collect()).unwrap(),
            self.directories.iter().map(|at| path(at)).collect(),
            executables.collect(),
        )
    }

    /// Whether a file could be moved.
    pub(crate) fn has_room_for(&self, old: &str, at: &str) -> bool {
        let mut more = self.clone();
        more.files.remove(old);
        let new = more.files.insert(at.to_owned(), File { text: String::new(), executable: false });
        new.is_none() && more.is_possible()
    }

    /// Whether a file system could hold these.
    fn is_possible(&self) -> bool {
        let file_above =
            |at: &String| at.match_indices('/').any(|(end, _)| self.files.contains_key(&at[..end]));
        !self.files.keys().any(file_above)
            && !self.directories.iter().any(|at| self.files.contains_key(at) || file_above(at))
    }
}

/// Commits, each named by its position.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) commits: Vec<(Vec<usize>, Files)>,
    texts: HashMap<BlobId, String>,
    lines: usize,
}

const PATHS: [&str; 12] = ["a", "b", "c", "a.b", "a/x", "a/y", "d/x", "d/y", "d/e/x", "e", "e/x", "f/x"];
const DIRECTORIES: [&str; 5] = ["a", "d", "d/e", "g", "g/h"];

pub(crate) fn commit_id(n: usize) -> CommitId {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&(n as u64).to_be_bytes());
    CommitId::new(HashAlgorithm::Blake3, digest)
}

pub(crate) fn options(strategy: FileStrategy) -> MergeOptions {
    MergeOptions { strategy, scheme: IdScheme::TypedV2, algorithm: HashAlgorithm::Blake3 }
}

impl History {
    /// A random history of `length` commits, some of them merges.
    pub(crate) fn random(random: &mut Random, length: usize) -> Self {
        let mut history = Self::default();
        let mut root = Files::default();
        for _ in 0..4 + random.below(6) {
            history.edit(random, &mut root);
        }
        history.commit(vec![], root);
        while history.commits.len() < length {
            let newest = history.commits.len();
            let first = newest - 1 - random.below(newest.min(4));
            let second = newest - 1 - random.below(newest.min(4));
            let mut files = history.commits[first].1.clone();
            let mut parents = vec![first];
            if first != second && random.one_in(2) {
                parents.push(second);
                let strategy = if random.one_in(3) { FileStrategy::Overlay } else { FileStrategy::Recursive };
                if let Outcome::Clean(merged) = history.merge(first, second, strategy).0 {
                    files = history.read(&merged.tree, &merged.blobs);
                }
            }
            for _ in 0..random.below(4) {
                history.edit(random, &mut files);
            }
            history.commit(parents, files);
        }
        history
    }

    pub(crate) fn commit(&mut self, parents: Vec<usize>, files: Files) -> usize {
        self.texts.extend(files.files.values().map(|file| (blob(&file.text), file.text.clone())));
        self.commits.push((parents, files));
        self.commits.len() - 1
    }

    /// The files of a merged tree.
    pub(crate) fn read(&self, tree: &Tree, merged: &BTreeMap<BlobId, Bytes>) -> Files {
        let text = |id: &BlobId| match merged.get(id) {
            Some(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            None => self.texts.get(id).expect("a blob of either side, or a new one").clone(),
        };
        let file = |(at, id): &(RepoPath, BlobId)| {
            (at.to_string(), File { text: text(id), executable: tree.executables().contains(at) })
        };
        let directories = tree.directories().iter().map(ToString::to_string);
        Files { files: tree.manifest().iter().map(file).collect(), directories: directories.collect() }
    }

    fn line(&mut self) -> String {
        self.lines += 1;
        format!("line {}\n", self.lines)
    }

    /// One random change, if it is possible.
    fn edit(&mut self, random: &mut Random, files: &mut Files) {
        let mut changed = files.clone();
        let at = (*random.pick(&PATHS)).to_owned();
        match random.below(12) {
            0 | 1 => {
                let text = (0..random.below(7)).map(|_| self.line()).collect();
                changed.files.insert(at, File { text, executable: random.one_in(4) });
            }
            2 => {
                let text = format!("\0{}", self.line());
                changed.files.insert(at, File { text, executable: false });
            }
            3 => {
                changed.files.remove(&at);
            }
            4 => {
                let names: Vec<String> = files.files.keys().cloned().collect();
                if let Some(file) =
                    (!names.is_empty()).then(|| changed.files.remove(random.pick(&names))).flatten()
                {
                    changed.files.insert(at, file);
                }
            }
            5 => {
                if let Some(file) = changed.files.get_mut(&at) {
                    file.executable = !file.executable;
                }
            }
            6 => {
                let directory = (*random.pick(&DIRECTORIES)).to_owned();
                if !changed.directories.remove(&directory) {
                    changed.directories.insert(directory);
                }
            }
            7 if !self.commits.is_empty() => {
                // What another commit has here, so that both sides come to the same now and then.
                let other = random.below(self.commits.len());
                match self.commits[other].1.files.get(&at) {
                    Some(file) => changed.files.insert(at, file.clone()),
                    None => changed.files.remove(&at),
                };
            }
            _ => {
                let names: Vec<String> = files.files.keys().cloned().collect();
                if !names.is_empty() {
                    let file = changed.files.get_mut(random.pick(&names)).unwrap();
                    file.text = self.edit_text(random, &file.text);
                }
            }
        }
        if changed.is_possible() {
            *files = changed;
        }
    }

    /// Replaces some lines by others. No line is ever moved or written twice.
    fn edit_text(&mut self, random: &mut Random, text: &str) -> String {
        if text.contains('\0') {
            return format!("\0{}", self.line());
        }
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let start = random.below(lines.len() + 1);
        let end = (start + random.below(3)).min(lines.len());
        let new: Vec<String> = (0..random.below(3)).map(|_| self.line()).collect();
        lines.splice(start..end, new);
        lines.concat()
    }

    fn node(&self, n: usize) -> CommitNode {
        let parents = &self.commits[n].0;
        let generation = parents.iter().map(|parent| self.node(*parent).generation).max().unwrap_or(0) + 1;
        CommitNode {
            id: commit_id(n),
            parents: parents.iter().map(|parent| commit_id(*parent)).collect(),
            generation,
        }
    }

    fn position(&self, id: CommitId) -> Option<usize> {
        (0..self.commits.len()).find(|n| commit_id(*n) == id)
    }

    /// Merges two commits; also the texts that the merge asked for.
    pub(crate) fn merge(
        &self,
        ours: usize,
        theirs: usize,
        strategy: FileStrategy,
    ) -> (Outcome, BTreeSet<String>) {
        let mut merge = Merge::new(commit_id(ours), commit_id(theirs), options(strategy));
        let mut asked = BTreeSet::new();
        loop {
            match merge.step().unwrap() {
                Step::Done(outcome) => return (outcome, asked),
                Step::Commits(ids) => {
                    let nodes: Vec<CommitNode> =
                        ids.iter().filter_map(|id| self.position(*id)).map(|n| self.node(n)).collect();
                    merge.answer_commits(&ids, &nodes);
                }
                Step::Trees(ids) => {
                    for id in ids {
                        let n = self.position(id).unwrap();
                        merge.supply_tree(id, Arc::new(self.commits[n].1.tree()));
                    }
                }
                Step::Contents(ids) => {
                    for id in ids {
                        let text = self.texts[&id].clone();
                        merge.supply_content(id, Content::Bytes(text.clone().into()));
                        asked.insert(text);
                    }
                }
            }
        }
    }

    fn ancestors(&self, n: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([n]);
        for parent in &self.commits[n].0 {
            all.extend(self.ancestors(*parent));
        }
        all
    }

    /// The common ancestors of two commits that are no ancestors of another one.
    pub(crate) fn bases(&self, a: usize, b: usize) -> Vec<usize> {
        let common: BTreeSet<usize> = self.ancestors(a).intersection(&self.ancestors(b)).copied().collect();
        let below = |n: &usize| common.iter().any(|other| other != n && self.ancestors(*other).contains(n));
        common.iter().copied().filter(|n| !below(n)).collect()
    }
}

/// Merges three texts as the only file of three trees.
pub(crate) fn merge_texts(base: &str, ours: &str, theirs: &str, strategy: FileStrategy) -> Option<String> {
    let tree = |text: &str| {
        let file = File { text: text.to_owned(), executable: false };
        Arc::new(Files { files: [("file".to_owned(), file)].into(), ..Files::default() }.tree())
    };
    let texts: HashMap<BlobId, &str> = [base, ours, theirs].map(|text| (blob(text), text)).into();
    let mut merge = TreeMerge::new(tree(base), tree(ours), tree(theirs), options(strategy));
    loop {
        match merge.step().unwrap() {
            TreeStep::Done(Merged::Conflicts(_)) => return None,
            TreeStep::Done(Merged::Clean(merged)) => {
                let id = merged.tree.manifest().get("file").unwrap();
                let new = merged.blobs.get(&id).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
                return new.or_else(|| texts.get(&id).map(|text| (*text).to_owned()));
            }
            TreeStep::Contents(ids) => {
                for id in ids {
                    merge.supply(id, Content::Bytes(texts[&id].to_owned().into()));
                }
            }
        }
    }
}
