//! The position of a run: which step of its rule it is at. `step_graph` decides which step is next.

/// Which step of the rule, and which element of its `for_each`; both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub step: u32,
    pub element: u32,
}
