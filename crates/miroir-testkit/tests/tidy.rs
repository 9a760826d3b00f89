//! What clippy can't see: the size of files, the layers, what the core may touch, and litter.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file, its tests left out.
const MAX_LINES: usize = 500;
const MAX_BYTES: u64 = 3 << 20;
/// Folders that are no part of the tree, wherever they stand.
const SKIPPED: [&str; 3] = [".git", "target", "miroir-data"];
/// Data that are kept byte by byte as their source gives them.
const AS_GIVEN: &str = "examples/world-cities/cities.json";

/// What each crate may build on; every other crate of the workspace is above it or beside it.
const LAYERS: [(&str, &[&str]); 5] = [
    ("miroir-core", &[]),
    ("miroir-store", &["miroir-core"]),
    ("miroir-proxy", &["miroir-core", "miroir-store"]),
    ("miroir-devnode", &[]),
    ("miroir-testkit", &[]),
];

/// The rooms of the server (folders and files of `src`), from the ground up: each builds only on those before it.
const ROOMS: [&str; 22] = [
    "outward", "memory", "config", "node_api", "cluster", "error", "probe", "auth", "settings", "webhook",
    "transfer", "write", "accord", "read", "search", "chat", "observe", "http", "listen", "online", "server",
    "dev",
];
const SERVER: &str = "crates/miroir-proxy/src/";

/// What would give the core a clock, chance, or a way out.
const IMPURE: [&str; 15] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    // One import for several modules would hide what it imports.
    "std::{",
    "Instant",
    "SystemTime",
    "now_utc",
    "now_local",
    "rand",
    "reqwest",
    "rusqlite",
    "tokio",
];

/// Lines of a function, from its name to its last bracket.
const MAX_FUNCTION_LINES: usize = 70;

/// A file of the tree.
struct SourceFile {
    /// From the root of the workspace, with `/`.
    path: String,
    bytes: u64,
    /// `None` for what is not text.
    text: Option<String>,
}

impl SourceFile {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
    }

    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Tests in a file or a folder of their own.
    fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.contains("/tests/")
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The text up to the tests at its end.
    fn without_tests(&self) -> &str {
        let text = self.text();
        text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn tree() -> Vec<SourceFile> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 100, "only {} files found under {}", found.len(), root.display());
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                walk(root, &path, found);
            }
        } else if kind.is_file() {
            let bytes = entry.metadata().unwrap().len();
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            let text = (bytes <= MAX_BYTES).then(|| String::from_utf8(fs::read(&path).unwrap()).ok());
            found.push(SourceFile { path: relative, bytes, text: text.flatten() });
        }
    }
}

fn manifests() -> Vec<SourceFile> {
    let mut manifests = tree();
    manifests.retain(|file| file.path.starts_with("crates/") && file.name() == "Cargo.toml");
    manifests
}

/// The dependencies that a manifest lists under `section`, in either of the two notations.
fn dependencies<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = header == section || header.ends_with(&format!(".{section}"));
            names.extend(header.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')));
        } else if inside && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()));
        }
    }
    names
}

/// Where `word` stands in `line` and is not a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        let before = line[..at].chars().next_back();
        !before.is_some_and(is_part) && !after.is_some_and(|c| is_part(c) && !word.ends_with('{'))
    })
}

/// Fails with every place that is wrong, not only with the first.
fn assert_none(offences: Vec<String>) {
    let count = offences.len();
    let listed: Vec<String> = offences.into_iter().map(|offence| format!("\n  {offence}")).collect();
    assert_eq!(count, 0, "{}", listed.concat());
}

/// `path:line: what` for each line of these files in which `judge` finds fault.
fn offending_lines<'a>(
    files: impl IntoIterator<Item = &'a SourceFile>,
    judge: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files {
        let lines = file.text().lines().zip(1..);
        let judged = lines.filter_map(|(line, at): (&str, usize)| Some((at, judge(line)?)));
        offences.extend(judged.map(|(at, what)| format!("{}:{at}: {what}", file.path)));
    }
    offences
}

#[test]
fn no_source_file_is_too_long() {
    let files = tree();
    let sources = files.iter().filter(|file| file.is_rust() && !file.is_test());
    let lengths = sources.map(|file| (file.without_tests().lines().count(), &file.path));
    let long = lengths.filter(|(lines, _)| *lines > MAX_LINES);
    assert_none(long.map(|(lines, path)| format!("{path}: {lines} lines, at most {MAX_LINES}")).collect());
}

#[test]
fn every_module_says_what_it_is_for() {
    let files = tree();
    let sources = files.iter().filter(|file| file.is_rust() && file.name() != "tests.rs");
    let silent = sources.filter(|file| !file.text().starts_with("//!"));
    assert_none(silent.map(|file| format!("{}: does not begin with `//!`", file.path)).collect());
}

#[test]
fn crates_build_only_on_the_layers_below() {
    let mut offences = Vec::new();
    for manifest in manifests() {
        let package = manifest.path.split('/').nth(1).unwrap();
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == package) else {
            offences.push(format!("{}: LAYERS does not say where the crate belongs", manifest.path));
            continue;
        };
        for section in ["dependencies", "build-dependencies"] {
            let above = dependencies(manifest.text(), section)
                .into_iter()
                .filter(|name| name.starts_with("miroir-") && !below.contains(name));
            offences.extend(above.map(|name| format!("{}: depends on {name}", manifest.path)));
        }
    }
    assert_none(offences);
}

#[test]
fn rooms_of_the_server_build_only_on_those_below() {
    let mut offences = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust()) {
        let Some(inside) = file.path.strip_prefix(SERVER) else { continue };
        let room = inside.split('/').next().unwrap().trim_end_matches(".rs");
        if room == "lib" || room == "main" {
            continue;
        }
        let Some(place) = ROOMS.iter().position(|known| *known == room) else {
            offences.push(format!("{}: ROOMS does not say where it belongs", file.path));
            continue;
        };
        let is_above = |other: &str| other != room && !ROOMS[..place].contains(&other);
        let above = rooms_used(file.text()).into_iter().filter(|other| is_above(other));
        offences.extend(above.map(|other| format!("{}: builds on {other}", file.path)));
    }
    assert_none(offences);
}

/// The rooms that a text names by their full path.
fn rooms_used(text: &str) -> Vec<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1));
    let names = paths
        .map(|path| path.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn no_function_is_too_long() {
    let files = tree();
    let sources = files.iter().filter(|file| file.is_rust() && !file.is_test());
    let long = sources.flat_map(|file| {
        let functions = functions(file.without_tests()).into_iter();
        let long = functions.filter(|(_, lines)| *lines > MAX_FUNCTION_LINES);
        long.map(|(name, lines)| {
            format!("{}: {name} has {lines} lines, at most {MAX_FUNCTION_LINES}", file.path)
        })
    });
    assert_none(long.collect());
}

/// The functions of a formatted text, with their lengths in lines.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else { continue };
        let qualifies =
            |word: &str| word.starts_with("pub") || word.ends_with(')') || ["async", "const"].contains(&word);
        if before.split_whitespace().all(qualifies) {
            let name = after.split(['(', '<']).next().unwrap();
            let indent = &line[..line.len() - code.len()];
            found.extend(length(&lines[first..], indent).map(|length| (name, length)));
        }
    }
    found
}

/// Where the function ends that begins with the first line: with its bracket, or with its head if that is all of it.
fn length(lines: &[&str], indent: &str) -> Option<usize> {
    let ends = |(at, line): (usize, &&str)| {
        let rest = line.strip_prefix(indent)?;
        let ends = rest == "}"
            || rest.ends_with(';') && (at == 0 || rest.starts_with(')'))
            || at == 0 && rest.ends_with('}');
        ends.then_some(at + 1)
    };
    lines.iter().enumerate().find_map(ends)
}

#[test]
fn contributing_names_every_test_program_and_every_part_of_the_large_one_with_its_time() {
    let files = tree();
    let text = files.iter().find(|file| file.path == "CONTRIBUTING.md").unwrap().text();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let is_told = |path: &str| {
        let row = rows.iter().find(|row| row.contains(&format!("`{path}`")));
        row.and_then(|row| row.split('|').nth(4)).is_some_and(|time| time.trim().ends_with(['s', 'n']))
    };
    let silent = files.iter().filter_map(|file| test_program(&file.path)).filter(|path| !is_told(path));
    assert_none(silent.map(|path| format!("CONTRIBUTING.md: no row with a time for {path}")).collect());
}

/// What a file is a test program, or a part of the large one, by.
fn test_program(path: &str) -> Option<String> {
    let (package, inside) =
        path.strip_prefix("crates/")?.split_once("/tests/").filter(|(package, _)| !package.contains('/'))?;
    let name = inside.strip_suffix(".rs")?;
    let name = name.strip_suffix("/main").unwrap_or(name);
    let is_program = name.strip_prefix("it/").unwrap_or(name).split('/').count() == 1;
    is_program.then(|| format!("{package}/tests/{name}"))
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() {
    let manifests = manifests();
    assert_eq!(manifests.len(), LAYERS.len());
    let lawless =
        manifests.iter().filter(|manifest| !manifest.text().contains("[lints]\nworkspace = true\n"));
    assert_none(lawless.map(|manifest| manifest.path.clone()).collect());
}

#[test]
fn the_core_has_no_clock_no_chance_and_no_way_out() {
    let files = tree();
    let core =
        files.iter().filter(|file| file.path.starts_with("crates/miroir-core/src/") && !file.is_test());
    let impure = |line: &str| {
        let is_comment = line.trim_start().starts_with("//");
        let found = IMPURE.iter().find(|word| !is_comment && has_word(line, word));
        found.map(|word| format!("`{word}` in the core"))
    };
    assert_none(offending_lines(core, impure));
}

#[test]
fn no_litter_lies_about() {
    const ENDINGS: [&str; 9] = ["bak", "orig", "rej", "tmp", "swp", "log", "bk", "patch", "diff"];
    const NAMES: [&str; 4] = ["notes", "progress", "scratch", "summary"];
    let litter = |file: &SourceFile| {
        let stem = Path::new(&file.path).file_stem()?.to_string_lossy().to_lowercase();
        let is_litter = ENDINGS.iter().any(|ending| file.has_extension(ending))
            || file.name().ends_with('~')
            || (!file.is_rust() && NAMES.iter().any(|name| stem.starts_with(name)));
        match file.bytes {
            bytes if bytes > MAX_BYTES => Some(format!("{}: {bytes} bytes", file.path)),
            _ => is_litter.then(|| format!("{}: does not belong into the tree", file.path)),
        }
    };
    assert_none(tree().iter().filter_map(litter).collect());
}

#[test]
fn modules_are_named_after_what_they_do() {
    const NAMELESS: [&str; 8] =
        ["utils.rs", "util.rs", "common.rs", "helpers.rs", "helper.rs", "types.rs", "misc.rs", "stuff.rs"];
    let nameless = |file: &SourceFile| {
        let module =
            file.path.strip_suffix("/mod.rs").map_or(file.path.clone(), |module| format!("{module}.rs"));
        NAMELESS.contains(&module.rsplit('/').next()?).then(|| file.path.clone())
    };
    assert_none(tree().iter().filter_map(nameless).collect());
}

#[test]
fn no_test_is_ignored_and_nothing_is_put_off() {
    // Put together here, so that this file passes its own test.
    let words = [["TO", "DO"], ["FIX", "ME"], ["HA", "CK"]].map(|word| word.concat());
    let ignored = ["#[", "ignore"].concat();
    let put_off = |line: &str| {
        let word = words.iter().find(|word| has_word(line, word));
        let is_ignored = line.trim_start().starts_with(&ignored);
        word.cloned().or_else(|| is_ignored.then(|| "an ignored test".to_owned()))
    };
    let files = tree();
    let written = files.iter().filter(|file| file.name() != "Cargo.lock" && file.path != AS_GIVEN);
    assert_none(offending_lines(written, put_off));
}

#[test]
fn every_text_ends_with_one_newline_and_no_line_with_blanks() {
    let files = tree();
    let texts = || files.iter().filter(|file| !file.text().is_empty() && file.path != AS_GIVEN);
    let ends_well = |text: &str| text.ends_with('\n') && !text.ends_with("\n\n") && text != "\n";
    let ends = texts().filter(|file| !ends_well(file.text()));
    let mut offences: Vec<_> =
        ends.map(|file| format!("{}: does not end with one newline", file.path)).collect();
    let blanks = |line: &str| (line.trim_end() != line).then(|| "blanks at the end of the line".to_owned());
    offences.extend(offending_lines(texts(), blanks));
    assert_none(offences);
}

#[test]
fn documents_speak_of_the_project_not_of_its_tickets() {
    let ticket = |line: &str| {
        let numbered = line.match_indices('#').any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + 1..]);
            // A place in a page is no ticket: `[…](#1-name)` or `page.md#1-name`.
            let is_anchor = ["](", ".md"].iter().any(|end| before.ends_with(end));
            !is_anchor && after.starts_with(|c: char| c.is_ascii_digit())
        });
        let linked = ["/issues/", "/pull/"].iter().any(|part| line.contains(part));
        (numbered || linked).then(|| "a ticket".to_owned())
    };
    let files = tree();
    assert_none(offending_lines(files.iter().filter(|file| file.has_extension("md")), ticket));
}

#[test]
fn the_checks_see_what_they_look_for() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nmiroir-core.workspace = true\n# miroir-no = 1\nserde = \"1\"\n\n[dev-dependencies]\nmiroir-testkit = { path = \"..\" }\n\n[dependencies.miroir-store]\nworkspace = true\n";
    assert_eq!(dependencies(manifest, "dependencies"), ["miroir-core", "serde", "miroir-store"]);
    assert_eq!(dependencies(manifest, "dev-dependencies"), ["miroir-testkit"]);
    assert!(has_word("use rand::random;", "rand") && !has_word("let operand = 1;", "rand"));
    assert!(has_word("use std::{fs, io};", "std::{") && has_word("Instant::now()", "Instant"));
    assert!(!has_word("Instantly", "Instant"));
    let file = SourceFile {
        path: "crates/x/src/a.rs".to_owned(),
        bytes: 1,
        text: Some("//! A.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n".to_owned()),
    };
    assert_eq!(file.without_tests().lines().count(), 2);
    assert_eq!(
        offending_lines([&file], |line| line.contains("b()").then(|| "b".to_owned())),
        ["crates/x/src/a.rs:6: b"]
    );
}
