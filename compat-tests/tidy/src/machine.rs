//! Nothing in the tree depends on the machine it was written on.
//!
//! Invariants:
//! - the patterns are put together at run time, so this file does not match itself;
//! - lock files name public registries only.

use crate::{SourceFile, Violation};

/// Hosts a lock file may name, in halves.
const PUBLIC_HOSTS: [&str; 9] = [
    "github.com",
    concat!("registry", ".npmjs.org"),
    "opencollective.com",
    concat!("static", ".crates.io"),
    concat!("pypi", ".org"),
    concat!("files", ".pythonhosted.org"),
    concat!("repo", ".maven.apache.org"),
    concat!("proxy", ".golang.org"),
    concat!("sum", ".golang.org"),
];
/// What generated lists of exact dependencies are called.
const LOCK_FILES: [&str; 6] =
    ["Cargo.lock", "package-lock.json", "go.sum", "requirements.txt", "uv.lock", "pom.xml.lock"];
/// Settings that point a package manager elsewhere, in halves.
const REGISTRY_SETTINGS: [(&str, &str); 5] = [
    ("index", "-url"),
    ("GO", "PROXY="),
    ("replace-", "with ="),
    ("trusted", "-host"),
    ("find", "-links"),
];

/// Paths of a developer's machine.
#[must_use]
pub fn paths(file: &SourceFile) -> Vec<Violation> {
    numbered(file)
        .filter_map(|(line, text)| {
            let path = machine_path(text)?;
            Some(Violation::at(&file.path, line, format!("{path} exists on one machine only")))
        })
        .collect()
}

/// Package registries other than the public ones.
#[must_use]
pub fn registries(file: &SourceFile) -> Vec<Violation> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let is_lock_file = LOCK_FILES.contains(&name);
    let mut found = Vec::new();
    for (line, text) in numbered(file) {
        for (first, second) in REGISTRY_SETTINGS {
            let setting = format!("{first}{second}");
            if text.contains(&setting) {
                let what = format!("`{setting}` belongs in the machine's settings");
                found.push(Violation::at(&file.path, line, what));
            }
        }
        // npm's lock files also hold the sponsor pages of authors.
        if is_lock_file && (!name.ends_with(".json") || text.contains("\"resolved\"")) {
            let foreign = hosts(text).filter(|host| !PUBLIC_HOSTS.contains(host));
            found.extend(foreign.map(|host| {
                Violation::at(&file.path, line, format!("`{host}` is not a public registry"))
            }));
        }
    }
    found
}

fn numbered(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    file.text.lines().enumerate().map(|(index, text)| (index + 1, text))
}

fn machine_path(text: &str) -> Option<String> {
    for folder in ["work", "root"] {
        let pattern = format!("/{folder}/");
        if text.match_indices(&pattern).any(|(at, _)| starts_path(text, at)) {
            return Some(pattern);
        }
    }
    let home = format!("/{}/", "home");
    text.match_indices(&home).find_map(|(at, _)| {
        let rest = &text[at + home.len()..];
        let user: String = rest
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || "_-.".contains(*character))
            .collect();
        let is_path = !user.is_empty() && rest[user.len()..].starts_with('/');
        (is_path && starts_path(text, at)).then(|| format!("{home}{user}/"))
    })
}

/// Whether the `/` at `at` begins a path and does not go on inside one.
fn starts_path(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|character| character.is_alphanumeric() || ".})]-_*~".contains(character))
}

fn hosts(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").map(|(at, separator)| {
        let rest = &text[at + separator.len()..];
        let end = rest.find(['/', '"', '\'', ' ', '#', '?', ')', ',']).unwrap_or(rest.len());
        let authority = &rest[..end];
        authority.rsplit('@').next().unwrap_or(authority)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> SourceFile {
        SourceFile::new(path, text)
    }

    #[test]
    fn machine_paths_are_found() {
        let bad = [
            format!("cd /{}/main", "work"),
            format!("\"/{}/.cargo\"", "root"),
            format!("x = /{}/alice/src", "home"),
        ];
        for text in bad {
            assert_eq!(paths(&file("a.sh", text.clone())).len(), 1, "{text}");
        }
    }

    #[test]
    fn longer_paths_and_generic_ones_pass() {
        let good = [
            "target/work/x",
            "https://example.org/root/x",
            "$HOME/work/x",
            "${DIR}/root/x",
            "/homework/x/y",
            "/var/lib/datamesh",
        ];
        for text in good {
            assert_eq!(paths(&file("a.md", text.to_owned())), [], "{text}");
        }
    }

    #[test]
    fn settings_for_other_registries_are_found() {
        for (first, second) in REGISTRY_SETTINGS {
            let text = format!("--{first}{second} http://mirror");
            assert_eq!(registries(&file("install.sh", text.clone())).len(), 1, "{text}");
        }
        assert_eq!(registries(&file("a.sh", "pip install boto3".to_owned())), []);
    }

    #[test]
    fn a_lock_file_with_a_private_host_is_found() {
        let lock = |host: &str| {
            let text = format!("\"resolved\": \"https://{host}/a/-/a-1.0.0.tgz\",");
            registries(&file("compat-tests/clients/node/package-lock.json", text)).len()
        };
        assert_eq!(lock(PUBLIC_HOSTS[1]), 0);
        assert_eq!(lock("npm.corp.example"), 1);
        let sponsor = "\"url\": \"https://sponsors.example/me\"".to_owned();
        assert_eq!(registries(&file("package-lock.json", sponsor)), []);
        assert_eq!(lock("user@10.0.0.7:4873"), 1);
        assert_eq!(registries(&file("README.md", "http://10.0.0.7:4873".to_owned())), []);
    }
}
