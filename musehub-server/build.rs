//! Compiles the stylesheet, so that the binary carries it.

use std::path::{Path, PathBuf};

use grass::{Options, OutputStyle};

const SOURCES: &str = "src/pages/scss";

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    let main = Path::new(SOURCES).join("main.scss");
    let css = match grass::from_path(&main, &Options::default().style(OutputStyle::Compressed)) {
        Ok(css) => css,
        Err(error) => panic!("{}: {error}", main.display()),
    };
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).expect("cargo says where build scripts write");
    if let Err(error) = std::fs::write(out.join("musehub.css"), css) {
        panic!("the stylesheet cannot be written: {error}");
    }
}
