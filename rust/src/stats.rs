//! Statistics of one peer: named numbers, units in the names. Pure.

use std::collections::BTreeMap;

/// Counters and gauges by name.
#[derive(Debug, Default, Clone)]
pub struct Stats(BTreeMap<&'static str, f64>);

impl Stats {
    /// Sets one value.
    pub fn set(&mut self, name: &'static str, value: f64) {
        self.0.insert(name, value);
    }

    /// One value, if it is known.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All values in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().map(|(name, value)| (*name, *value))
    }
}
