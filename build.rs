//! Links the unwinder of libgcc statically, so that the dynamic loader has one library less to
//! find, open and map: nine system calls of each process's start-up.
//!
//! std asks for `-lgcc_s`; when its symbols are there already, the linker's `--as-needed` (rustc's
//! default) leaves the shared library out. Where there is no `libgcc_eh.a` (another C library,
//! another compiler) nothing is changed: the programs work, with those calls.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CC");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu")
        || std::env::var("HOST") != std::env::var("TARGET")
    {
        return;
    }
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let Ok(answer) = Command::new(cc)
        .arg("-print-file-name=libgcc_eh.a")
        .output()
    else {
        return;
    };
    let answer = String::from_utf8_lossy(&answer.stdout);
    // Without such a file, gcc prints the bare name back.
    if let Some(folder) = Path::new(answer.trim())
        .parent()
        .filter(|f| f.is_absolute())
    {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:+whole-archive=gcc_eh");
    }
}
