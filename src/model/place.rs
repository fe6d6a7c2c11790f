//! The position of a run: which step of its rule it is at. Where to go from there is left to `step_graph`.

/// Which step of the rule, and which element of its `for_each`; both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub step: u32,
    pub element: u32,
}
