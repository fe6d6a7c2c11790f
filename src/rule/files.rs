//! Checks what rules do with the same file, when all files are read: one that is written as a whole is not the one to which
//! lines or rows are added, because whichever comes later would undo the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Rule;
use crate::yaml::fields::Item;

/// Reports the steps that replace a file in which other steps change something.
pub fn look<'r>(rules: impl Iterator<Item = (&'r Rule, &'r Item<'r>)> + Clone) {
    let plain = |name: &str| Path::new(name).components().collect::<PathBuf>();
    // For each file, the verb and the rule of the first step that changes something in it.
    let mut changed: HashMap<PathBuf, (&str, &str)> = HashMap::new();
    for (rule, _) in rules.clone().filter(|(rule, _)| rule.enabled) {
        for step in &rule.steps {
            if let Some(used) = step.file().filter(|used| !used.replaces) {
                changed.entry(plain(used.name)).or_insert((step.verb, &rule.name));
            }
        }
    }
    for (rule, item) in rules.filter(|(rule, _)| rule.enabled) {
        for step in &rule.steps {
            let Some(used) = step.file().filter(|used| used.replaces) else { continue };
            let Some((verb, other)) = changed.get(&plain(used.name)) else { continue };
            let whose = if *other == &*rule.name { String::new() } else { format!(" of the rule `{other}`") };
            item.at(&step.path)
                .problem(format!("{} is replaced as a whole here, and `{verb}`{whose} changes a part of it", used.name))
                .together()
                .label("write to another file, such as one with the date in its name")
                .add();
        }
    }
}
