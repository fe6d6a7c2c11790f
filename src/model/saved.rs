//! The values that a run's steps save under a name, and which answers of a list belong to which element. The run that
//! saves them is in [`super::run`].

use serde_json::{Map, Value, json};

/// The name under which `on_error:` steps see what went wrong; nothing else may be saved under it.
pub const ERROR: &str = "error";
/// The name under which the end of a wait is saved: what `now` means from then on.
pub const NOW: &str = "now";

/// The name under which a run saves, next to a list of answers, which `for_each` and element each of them belongs to. No
/// name of a rule contains this character.
fn elements_of(name: &str) -> String {
    format!("{name}@")
}

/// The value saved under a name, as it is at one place: inside the `for_each` that saves it (its step, and the current
/// element) it is the answer of this element, and there is none if its step failed or was skipped; anywhere else it is the
/// whole list.
pub fn saved_at<'s>(saved: &'s Map<String, Value>, name: &str, inside: Option<(u32, u32)>) -> Option<&'s Value> {
    let value = saved.get(name)?;
    let (Some((each, element)), Value::Array(answers)) = (inside, value) else { return Some(value) };
    let Some(of) = saved.get(&elements_of(name)).and_then(Value::as_array) else { return Some(value) };
    match of.last().and_then(Owner::read) {
        Some(last) if last.each == each => {
            // Nearly always the last one; elements that had to wait are looked for.
            let nth = of.iter().rposition(|one| Owner::read(one).is_some_and(|owner| owner.element == element))?;
            answers.get(nth)
        }
        _ => Some(value),
    }
}

/// Which `for_each` and element an answer belongs to.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Owner {
    each: u32,
    element: u32,
}

impl Owner {
    fn read(value: &Value) -> Option<Self> {
        let number = |index: usize| value.get(index).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        Some(Self { each: number(0)?, element: number(1)? })
    }
}

/// A value saved by `save_as`: its name, and its index if it is an element of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedAt {
    pub name: String,
    pub element: Option<usize>,
}

impl SavedAt {
    /// The value itself.
    pub fn of<'s>(&self, saved: &'s Map<String, Value>) -> Option<&'s Value> {
        let value = saved.get(&self.name)?;
        self.element.map_or(Some(value), |n| value.get(n))
    }
}

/// Saves a value, as the next element of a list if `many`. Returns what has to be stored.
pub fn save(saved: &mut Map<String, Value>, name: &str, output: Value, many: bool) -> SavedAt {
    let element = match saved.get_mut(name) {
        Some(Value::Array(list)) if many => {
            list.push(output);
            Some(list.len() - 1)
        }
        _ => {
            saved.insert(name.to_owned(), if many { Value::Array(vec![output]) } else { output });
            many.then_some(0)
        }
    };
    SavedAt { name: name.to_owned(), element }
}

/// Saves the answer of an element of the `for_each` of the step `each`. Returns what has to be stored.
pub fn save_answer(saved: &mut Map<String, Value>, name: &str, output: Value, each: u32, element: u32) -> [SavedAt; 2] {
    [save(saved, name, output, true), save(saved, &elements_of(name), json!([each, element]), true)]
}

/// Puts the answers of a `for_each` that has ended into the order of its elements: those that had to wait came later.
/// Returns what has to be stored again.
pub fn put_in_order(saved: &mut Map<String, Value>, each: u32) -> Vec<SavedAt> {
    let mut again = Vec::new();
    let lists: Vec<String> = saved.keys().filter_map(|key| key.strip_suffix('@')).map(str::to_owned).collect();
    for name in lists {
        let owners: Option<Vec<Owner>> =
            saved.get(&elements_of(&name)).and_then(Value::as_array).map(|of| of.iter().filter_map(Owner::read).collect());
        let Some(owners) = owners.filter(|owners| owners.iter().all(|owner| owner.each == each) && !owners.is_sorted()) else { continue };
        let mut order: Vec<usize> = (0..owners.len()).collect();
        order.sort_by_key(|n| owners[*n]);
        for list in [elements_of(&name), name] {
            let Some(Value::Array(values)) = saved.get_mut(&list) else { continue };
            *values = order.iter().filter_map(|n| values.get_mut(*n).map(Value::take)).collect();
            again.extend((0..order.len()).map(|n| SavedAt { name: list.clone(), element: Some(n) }));
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_came_late_get_the_place_of_their_element() {
        let mut saved = Map::new();
        for element in [0, 2, 3, 1] {
            save_answer(&mut saved, "made", element.into(), 4, element);
        }
        save(&mut saved, "word", "x".into(), false);
        assert_eq!(saved_at(&saved, "made", Some((4, 2))), Some(&2.into()), "in the loop it is that of the element");
        assert_eq!(saved_at(&saved, "made", Some((4, 5))), None);
        assert!(put_in_order(&mut saved, 7).is_empty(), "another loop");
        let stored = put_in_order(&mut saved, 4);
        assert_eq!(saved["made"], json!([0, 1, 2, 3]));
        assert_eq!(saved_at(&saved, "made", Some((4, 1))), Some(&1.into()));
        assert_eq!((stored.len(), stored[0].element), (8, Some(0)), "a list that is stored from its beginning replaces the old one");
        assert!(put_in_order(&mut saved, 4).is_empty(), "nothing to do");
    }
}
