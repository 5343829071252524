//! A bounded memory of what was worked out lately.

use std::hash::Hash;

use hashbrown::{Equivalent, HashMap};

/// Keeps at least the `max` entries used last and at most twice as many: two generations, of
/// which the older is dropped whole when the younger is full. Cheaper than an exact order of use.
#[derive(Debug, Clone)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    max: usize,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    pub fn new(max: usize) -> Self {
        Recent { young: HashMap::new(), old: HashMap::new(), max }
    }

    pub fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        Q: ?Sized + Hash + Equivalent<K>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    pub fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and gives its memory back.
    pub fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_stays_small() {
        let mut recent: Recent<u32, u32> = Recent::new(10);
        recent.put(1000, 1);
        for n in 0..500 {
            recent.put(n, n);
            assert_eq!(recent.get(&1000), Some(1));
            assert_eq!(recent.get(&n), Some(n));
            assert!(recent.len() <= 20);
        }
        assert_eq!(recent.get(&0), None);
        recent.clear();
        assert!(recent.is_empty());
    }
}
