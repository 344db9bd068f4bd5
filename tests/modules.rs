//! The graph of modules, as the `use` lines of `src/` draw it: no circle, and no
//! arrow that leads back up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From the lowest; a module of one may use those before it, and its own.
const LAYERS: [&[&str]; 12] = [
    &["djb"],
    &["sys"],
    &["class", "error", "escape", "file", "findings", "mistakes", "proxy", "seconds", "stdout"],
    &["databases", "names"],
    &["dns", "log", "report", "rules"],
    &["known"],
    &["options"],
    &["connection"],
    &["daemon", "link"],
    &["ctl", "demo"],
    &["programs"],
    &["bin"],
];

/// A module's path below the crate, such as `daemon::child`.
type Module = String;

/// What each module uses, tests left out.
struct Graph(BTreeMap<Module, BTreeSet<Module>>);

impl Graph {
    fn read() -> Self {
        let mut texts = BTreeMap::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut texts);
        let names: BTreeSet<Module> = texts.keys().cloned().collect();
        let uses = texts.iter().map(|(module, text)| {
            let used = paths(text).into_iter().filter_map(|path| resolve(module, &path, &names));
            (module.clone(), used.filter(|used| used != module).collect())
        });
        Self(uses.collect())
    }

    /// The same of what stands side by side in a folder, files and folders: an arrow for
    /// each that leads from one, or out of it, to another, or into it.
    fn of_folders(&self) -> Self {
        let mut arrows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        let uses = self.0.iter().flat_map(|(from, uses)| uses.iter().map(move |to| (from, to)));
        for [from, to] in uses.filter_map(|(from, to)| side_by_side(from, to)) {
            arrows.entry(to.clone()).or_default();
            arrows.entry(from).or_default().insert(to);
        }
        Self(arrows)
    }

    /// All circles.
    fn circles(&self) -> BTreeSet<Vec<&str>> {
        self.0.keys().filter_map(|module| self.circle(module)).collect()
    }

    /// Modules that lead back to `start`, by way of each other.
    fn circle<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut came_from = BTreeMap::new();
        let mut next: Vec<&str> = vec![start];
        while let Some(module) = next.pop() {
            for used in &self.0[module] {
                if used == start {
                    return Some(way_back(module, start, &came_from));
                }
                if !came_from.contains_key(used.as_str()) {
                    came_from.insert(used.as_str(), module);
                    next.push(used);
                }
            }
        }
        None
    }
}

/// The first parts in which the paths of two modules differ, each with what is before it,
/// unless one of them contains the other.
fn side_by_side(from: &str, to: &str) -> Option<[Module; 2]> {
    let [from, to] = [from, to].map(|module| module.split("::").collect::<Vec<_>>());
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let first = |module: &[&str]| module.get(..=shared).map(|parts| parts.join("::"));
    Some([first(&from)?, first(&to)?])
}

fn way_back<'a>(
    mut module: &'a str,
    start: &'a str,
    came_from: &BTreeMap<&'a str, &'a str>,
) -> Vec<&'a str> {
    let mut way = vec![start, module];
    while module != start {
        module = came_from[module];
        way.push(module);
    }
    way.reverse();
    way
}

/// The texts of all modules below `directory`, without comments and tests.
fn collect(directory: &Path, above: &str, texts: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let module = |stem: &str| [above, stem].join("::").trim_start_matches("::").to_string();
        if entry.path().is_dir() {
            collect(&entry.path(), &module(&name), texts);
            continue;
        }
        let Some(stem) = name.strip_suffix(".rs") else { continue };
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = without_tests(&text);
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let code = code.collect::<Vec<_>>().join("\n");
        match stem {
            "lib" => (),
            "mod" => drop(texts.insert(above.to_string(), code)),
            stem => drop(texts.insert(module(stem), code)),
        }
    }
}

/// What stands before the first module of tests.
fn without_tests(text: &str) -> &str {
    const TESTS: &str = "\n#[cfg(test)]\n";
    let of_tests = text.match_indices(TESTS).map(|(place, _)| place);
    let mut modules = of_tests.filter(|place| {
        let line = text[place + TESTS.len()..].lines().next().unwrap_or_default();
        line.contains("mod ") && line.ends_with('{')
    });
    modules.next().map_or(text, |place| &text[..place])
}

/// What is behind each `use`, a path each, and paths that are written out, those that
/// begin with the name of a child too.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices("use ") {
        if text[..place].ends_with(['\n', ' ', ')']) || place == 0 {
            let tree = text[place + 4..].split(';').next().unwrap_or_default();
            flatten("", &tree.split_whitespace().collect::<Vec<_>>().join(" "), &mut found);
        }
    }
    let children = children(text).map(|name| format!("{name}::"));
    for start in ["crate::", "super::"].map(String::from).into_iter().chain(children) {
        let written = text.match_indices(&start);
        // The scope of a name is not a use, and the end of another path is no path.
        let written = written.filter(|(place, _)| {
            let before = &text[..*place];
            !before.ends_with("(in ") && !before.ends_with(is_of_path)
        });
        found.extend(written.map(|(place, _)| &text[place..]).map(|path| {
            let end = path.find(|c| !is_of_path(c));
            path[..end.unwrap_or(path.len())].to_string()
        }));
    }
    found
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// The modules that a text declares.
fn children(text: &str) -> impl Iterator<Item = &str> {
    let declared = text.lines().filter_map(|line| line.trim_end().strip_suffix(';'));
    declared.filter_map(|line| {
        let (before, name) = line.split_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then_some(name)
    })
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn flatten(before: &str, tree: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return found.push(format!("{before}{path}").replace("::self", ""));
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start) = (0, 0);
    for (place, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&format!("{before}{}", head.trim()), inner[start..place].trim(), found);
                start = place + 1;
            }
            _ => (),
        }
    }
}

/// The module in which what `path` names stands, if it is one of ours.
fn resolve(module: &str, path: &str, names: &BTreeSet<Module>) -> Option<Module> {
    let mut base: Vec<&str> = module.split("::").collect();
    let mut parts: Vec<&str> = path.split("::").collect();
    match parts[0] {
        "crate" => base.clear(),
        "super" => (),
        _ => parts.insert(0, "self"),
    }
    while parts.first() == Some(&"super") {
        base.pop();
        parts.remove(0);
    }
    let own_child = parts.first() == Some(&"self");
    let rest = parts.iter().filter(|part| !matches!(**part, "crate" | "self"));
    let full: Vec<&str> = base.iter().chain(rest).copied().collect();
    let longest = (1..=full.len()).rev().map(|length| full[..length].join("::"));
    let found = longest.into_iter().find(|name| names.contains(name))?;
    (!own_child || found.len() > module.len()).then_some(found)
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let graph = Graph::read();
    assert!(graph.0.len() > 100 && graph.0["connection::serve"].contains("connection::client"));
    assert!(graph.circles().is_empty(), "{:#?}", graph.circles());
}

#[test]
fn no_folders_use_each_other_in_a_circle() {
    let folders = Graph::read().of_folders();
    assert!(folders.0["daemon::startup"].contains("daemon::supervisor"));
    assert!(folders.circles().is_empty(), "{:#?}", folders.circles());
}

#[test]
fn folders_that_use_each_other_by_different_files_are_found() {
    let files = [("a::b::x", "a::c::y"), ("a::c::z", "a::b"), ("a::b::x", "a"), ("a", "d")];
    let mut graph = Graph(BTreeMap::new());
    for (from, to) in files {
        graph.0.entry(to.into()).or_default();
        graph.0.entry(from.into()).or_default().insert(to.into());
    }
    assert!(graph.circles().is_empty());
    let folders = graph.of_folders();
    assert_eq!(folders.circles().len(), 2, "from each of the two");
    assert!(folders.circles().contains(&vec!["a::b", "a::c", "a::b"]));
}

#[test]
fn no_module_uses_one_of_a_higher_layer() {
    let layer = |module: &str| {
        let name = module.split("::").next().unwrap();
        let layer = LAYERS.iter().position(|names| names.contains(&name));
        layer.unwrap_or_else(|| panic!("{name} has no layer"))
    };
    let graph = Graph::read();
    let arrows = graph.0.iter().flat_map(|(from, uses)| uses.iter().map(move |to| (from, to)));
    let up: Vec<_> = arrows.filter(|(from, to)| layer(from) < layer(to)).collect();
    assert!(up.is_empty(), "{up:#?}");
}

#[test]
fn paths_that_begin_with_a_child_are_read() {
    let text = "mod a;\npub(crate) mod b_c;\nfn f() { a::g(b_c::H, not_a::I); d::a::K }";
    assert_eq!(paths(text), ["a::g", "b_c::H"]);
}

#[test]
fn trees_of_paths_are_read() {
    let mut found = Vec::new();
    flatten("", "crate::{a::{self, B}, c as d}", &mut found);
    assert_eq!(found, ["crate::a", "crate::a::B", "crate::c"]);
    let names = ["a", "a::b", "a::b::c", "d"].map(String::from).into();
    let resolved = |path| resolve("a::b", path, &names);
    assert_eq!(resolved("super::X").as_deref(), Some("a"));
    assert_eq!(resolved("c::Y").as_deref(), Some("a::b::c"));
    assert_eq!(resolved("crate::d::f").as_deref(), Some("d"));
    assert_eq!([resolved("std::fs"), resolved("X")], [None, None]);
}
