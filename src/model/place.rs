//! The place of a run: at which step of its rule it is. Where to go from there is left to `course`.

/// Which step of the rule, and which element of its `for_each`; both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub step: u32,
    pub element: u32,
}
