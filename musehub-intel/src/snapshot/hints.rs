//! What build and test configuration tells about modules that the snapshot lacks and folders that imports start from.
//!
//! Only what errs on the side of silence is taken: a name wrongly thought generated hides a finding, nothing more.

use std::collections::HashSet;

use super::build::resolve;

/// Hint text beyond this size is not looked at.
const MAX_HINT_BYTES: usize = 1 << 20;
/// Patterns of ignored files that are kept.
const MAX_IGNORED: usize = 4_096;

/// Whether the text of this file helps [`super::SnapshotBuilder::hint`].
#[must_use]
pub fn is_hint(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let requirements = name.starts_with("requirements") && name.ends_with(".txt");
    let named = matches!(
        name,
        "pyproject.toml"
            | "setup.cfg"
            | "setup.py"
            | "tox.ini"
            | "pytest.ini"
            | ".gitignore"
            | "meson.build"
            | "CMakeLists.txt"
    );
    named || requirements || path.contains("requirements/") && name.ends_with(".txt")
}

/// What the hints of a snapshot say together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Folders named as source roots.
    pub(crate) roots: HashSet<String>,
    /// Import names of declared dependencies, as far as they follow from the names of the distributions.
    pub(crate) dependencies: HashSet<String>,
    /// Last names of modules that a build makes.
    generated: HashSet<String>,
    /// Ignored paths: folder of the ignore file, and pattern of the file name.
    ignored: Vec<(String, String)>,
    writes_version: bool,
    reads_builds: bool,
}

impl Hints {
    pub(super) fn read(&mut self, path: &str, text: &str) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let text = text.get(..MAX_HINT_BYTES).unwrap_or(text);
        match name {
            ".gitignore" => self.read_ignores(dir, text),
            "meson.build" | "CMakeLists.txt" => self.read_words(text),
            "setup.py" => {
                self.read_build(text);
                if text.contains("xtension") || text.contains("cffi_modules") || text.contains("cythonize") {
                    self.read_quoted(text);
                }
            }
            "pyproject.toml" | "setup.cfg" | "tox.ini" | "pytest.ini" => {
                self.read_build(text);
                self.read_keys(dir, text);
                self.read_dependencies(text);
            }
            _ => self.read_dependencies(text),
        }
    }

    /// Extension modules named in build scripts.
    pub(super) fn add_built<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.generated.extend(names.filter_map(last_part));
    }

    /// Whether a module `name` missing from `dir` may be written by a tool.
    pub(crate) fn may_be_generated(&self, dir: &str, name: &str) -> bool {
        const ALWAYS: [&str; 9] = [
            "_version",
            "_build_info",
            "build_info",
            "_generated_version",
            "git_version",
            "__config__",
            "parsetab",
            "lextab",
            "local_settings",
        ];
        const SUFFIXES: [&str; 6] = ["_pb2", "_pb2_grpc", "_pb2_twirp", "_rc", "_ui", "_parsetab"];
        ALWAYS.contains(&name)
            || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            || name.starts_with("ui_")
            || name.starts_with("Ui_")
            || (matches!(name, "version" | "__version__") && (self.writes_version || !self.reads_builds))
            || self.generated.contains(name)
            || self.is_ignored(dir, name)
    }

    fn is_ignored(&self, dir: &str, name: &str) -> bool {
        let file = format!("{name}.py");
        self.ignored.iter().any(|(base, pattern)| {
            let below = dir
                .strip_prefix(base.as_str())
                .is_some_and(|rest| base.is_empty() || rest.is_empty() || rest.starts_with('/'));
            below && (matches(pattern.as_bytes(), file.as_bytes()) || pattern == name)
        })
    }

    fn read_ignores(&mut self, dir: &str, text: &str) {
        for line in text.lines().map(str::trim) {
            let pattern = line.trim_end_matches('/');
            if pattern.is_empty() || pattern.starts_with(['#', '!']) || pattern.contains('[') {
                continue;
            }
            let inner = pattern.trim_start_matches('/');
            let last = inner.rsplit('/').next().unwrap_or(inner);
            // Bare folder names such as `build/` come from boilerplate; a path or a Python file was meant.
            let meant = last.ends_with(".py") || (inner.contains('/') && !last.contains('.') && last != "*");
            if meant && !last.contains("**") && self.ignored.len() < MAX_IGNORED {
                self.ignored.push((dir.to_owned(), last.to_owned()));
            }
        }
    }

    /// What a build script names, other than Python files, may be a module that it makes.
    fn read_words(&mut self, text: &str) {
        let words = text.split(|c: char| !("_./*".contains(c) || c.is_alphanumeric()));
        let made = words.filter(|word| !word.ends_with(".py")).filter_map(|word| word.rsplit('/').next());
        self.generated
            .extend(made.flat_map(|word| word.split('.')).filter(|word| word.len() > 2).map(str::to_owned));
    }

    /// The same in a script that is itself Python, where only dotted names and paths in quotes count.
    fn read_quoted(&mut self, text: &str) {
        let quoted =
            text.split(['"', '\'']).filter(|word| word.len() < 200 && word.contains(['.', '/', '_']));
        let named = quoted.filter(|word| !word.contains([' ', '\n']));
        self.read_words(&named.collect::<Vec<_>>().join(" "));
    }

    fn read_build(&mut self, text: &str) {
        const TOOLS: [&str; 8] = [
            "setuptools_scm",
            "setuptools-scm",
            "hatch-vcs",
            "versioneer",
            "versioningit",
            "pbr",
            "dynamic-versioning",
            "scikit-build",
        ];
        const KEYS: [&str; 4] = ["version_file", "version-file", "write_to", "generate_setup_py"];
        self.reads_builds = true;
        self.writes_version |= TOOLS.iter().chain(&KEYS).any(|word| text.contains(word));
    }

    /// `key = value` lines of TOML and INI files, without regard to tables.
    fn read_keys(&mut self, dir: &str, text: &str) {
        let mut key = String::new();
        for line in text.lines() {
            let value = match line.split_once('=') {
                Some((name, value)) if is_key(name) => {
                    key = name.trim().trim_matches('"').replace('-', "_");
                    value
                }
                // A list may go on over several lines.
                _ => line,
            };
            match key.as_str() {
                "version_file" | "write_to" | "module_name" | "target" => {
                    self.generated.extend(values(value).filter_map(last_part));
                }
                "where" | "pythonpath" | "from" | "mypy_path" | "package_dir" | "source_dir" => {
                    self.roots.extend(values(value).map(|root| resolve(dir, root)));
                }
                _ => {}
            }
            // `packages = [{ include = "pkg", from = "lib" }]`
            if let Some((_, rest)) = line.split_once("from = ") {
                self.roots.extend(values(rest).take(1).map(|root| resolve(dir, root)));
            }
        }
    }

    /// Names of distributions: whole lines of a requirements file, quoted strings elsewhere.
    fn read_dependencies(&mut self, text: &str) {
        for line in text.lines() {
            let bare = !line.contains(['"', '\'']);
            let quoted = line.split(['"', '\'']).skip(1).step_by(2);
            for item in quoted.chain(bare.then_some(line)).map(str::trim) {
                let name: String =
                    item.chars().take_while(|c| c.is_alphanumeric() || "-_.".contains(*c)).collect();
                let rest = item[name.len()..].trim_start();
                // A lone word may be anything, `testpaths = ["tests"]` for one; well-known names are listed anyway.
                if !name.is_empty() && rest.starts_with(['>', '<', '~', '!', '[', ';', '@'])
                    || rest.starts_with("==")
                {
                    self.dependencies.insert(name.to_ascii_lowercase().replace(['-', '.'], "_"));
                }
            }
        }
    }
}

fn is_key(text: &str) -> bool {
    let text = text.trim().trim_matches('"');
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// The words of a value, whether quoted, listed or bare.
fn values(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'', '[', ']', '{', '}', ',', ' ', '=', '\t'])
        .filter(|word| !word.is_empty() && *word != "#")
}

/// `a` of `pkg.a`, `pkg/a.py` and `a`.
fn last_part(name: &str) -> Option<String> {
    let name = name.strip_suffix(".py").unwrap_or(name);
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    (!last.is_empty()).then(|| last.to_owned())
}

/// Shell patterns with `*` and `?` only.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(path: &str, text: &str) -> Hints {
        let mut hints = Hints::default();
        hints.read(path, text);
        hints
    }

    #[test]
    fn version_files_named_in_pyproject_are_generated() {
        let hints = hints("pyproject.toml", "[tool.setuptools_scm]\nversion_file = \"src/pkg/_v.py\"\n");
        assert!(hints.may_be_generated("src/pkg", "_v"));
        assert!(hints.may_be_generated("src/pkg", "version"));
        assert!(!hints.may_be_generated("src/pkg", "gone"));
    }

    #[test]
    fn ignored_python_files_are_generated_below_the_ignore_file() {
        let hints = hints("a/.gitignore", "*.py[cod]\nbuild/\n/pkg/gen\nparser_*.py\n");
        assert!(hints.may_be_generated("a/pkg", "gen") && hints.may_be_generated("a", "parser_x"));
        assert!(!hints.may_be_generated("b", "parser_x") && !hints.may_be_generated("a", "build"));
        assert!(!hints.may_be_generated("a", "x"));
    }

    #[test]
    fn source_roots_and_dependencies_are_read() {
        let text = "[project]\ndependencies = [\n  'PyYAML>=5',\n]\n[tool.setuptools.packages.find]\nwhere = [\"lib\"]\n";
        let hints = hints("sub/pyproject.toml", text);
        assert!(hints.roots.contains("sub/lib"), "{hints:?}");
        assert!(hints.dependencies.contains("pyyaml"));
    }
}
