//! Files that a command writes: there whole under their name, or not at all.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// A file on its way to its name. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    unfinished: PathBuf,
    out: Option<BufWriter<File>>,
}

impl NewFile {
    /// Begins a file; refuses a name that is taken.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        if path.exists() {
            return Err(format!("{} is there already", path.display()));
        }
        let unfinished = path.with_added_extension("unfinished");
        let file = File::create(&unfinished).map_err(|error| named(&unfinished, error))?;
        Ok(Self { path: path.to_owned(), unfinished, out: Some(BufWriter::new(file)) })
    }

    /// Where its bytes go.
    pub(super) fn out(&mut self) -> &mut BufWriter<File> {
        self.out.as_mut().expect("only finish takes it, and finish takes the whole")
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let out = self.out.take().expect("only finish takes it, and finish takes the whole");
        let written = out.into_inner().map_err(io::IntoInnerError::into_error);
        written.and_then(|file| file.sync_all()).map_err(|error| named(&self.unfinished, error))?;
        std::fs::rename(&self.unfinished, &self.path).map_err(|error| named(&self.path, error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

fn named(path: &Path, error: io::Error) -> String {
    format!("{}: {error}", path.display())
}
