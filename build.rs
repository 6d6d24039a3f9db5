//! How is the program linked? With packed relocations where the system's loader reads them: they are a tenth of the start,
//! and more than a megabyte of memory. What is linked so runs with that version of the C library or a later one.

#![expect(clippy::disallowed_methods, reason = "asks the system for the version of its C library")]

use std::{env, process::Command};

/// The first glibc whose loader reads them.
const FIRST: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Whoever builds for another system than this one says how to link for it.
    let here = env::var("HOST").is_ok_and(|host| env::var("TARGET").is_ok_and(|target| host == target));
    if here && glibc().is_some_and(|it| it >= FIRST) {
        // Benches hold the servers that the program is compared with.
        for linked in ["bins", "benches"] {
            println!("cargo:rustc-link-arg-{linked}=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Version of the C library here: `getconf` says `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
