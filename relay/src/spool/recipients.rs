//! A set of recipient indices: which of a message's recipients are not done. Sixteen octets for up to 32 recipients.

/// A set of recipient indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RecipientSet {
    /// Indices 0 to 31: nearly every message needs no more.
    low: u32,
    /// Indices from 32, a word for each 32. Boxed twice so that the common case pays one pointer.
    #[allow(clippy::box_collection)]
    high: Option<Box<Vec<u32>>>,
}

impl RecipientSet {
    /// The first `count` indices.
    pub(super) fn first(count: usize) -> Self {
        let mut set = Self::default();
        for index in 0..count.min(usize::from(u16::MAX) + 1) {
            set.insert(index as u16);
        }
        set
    }

    fn place(index: u16) -> (usize, u32) {
        (usize::from(index) / 32, 1 << (index % 32))
    }

    fn word(&self, word: usize) -> u32 {
        match word {
            0 => self.low,
            n => self.high.as_ref().and_then(|high| high.get(n - 1)).copied().unwrap_or(0),
        }
    }

    pub(super) fn contains(&self, index: u16) -> bool {
        let (word, bit) = Self::place(index);
        self.word(word) & bit != 0
    }

    pub(super) fn insert(&mut self, index: u16) {
        let (word, bit) = Self::place(index);
        if word == 0 {
            self.low |= bit;
            return;
        }
        let high = self.high.get_or_insert_default();
        if high.len() < word {
            high.resize(word, 0);
        }
        if let Some(place) = high.get_mut(word - 1) {
            *place |= bit;
        }
    }

    pub(super) fn remove(&mut self, index: u16) {
        let (word, bit) = Self::place(index);
        if word == 0 {
            self.low &= !bit;
        } else if let Some(high) = &mut self.high {
            if let Some(place) = high.get_mut(word - 1) {
                *place &= !bit;
            }
            if high.iter().all(|word| *word == 0) {
                self.high = None;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_none()
    }

    /// Takes out the indices that `keep` says no to.
    pub(super) fn retain(&mut self, keep: impl Fn(u16) -> bool) {
        let out: Vec<u16> = self.iter().filter(|index| !keep(*index)).collect();
        out.into_iter().for_each(|index| self.remove(index));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let words = 1 + self.high.as_ref().map_or(0, |high| high.len());
        (0..words).flat_map(move |word| {
            let bits = self.word(word);
            (0..32u32).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| (word * 32) as u16 + bit as u16)
        })
    }
}

impl FromIterator<u16> for RecipientSet {
    fn from_iter<T: IntoIterator<Item = u16>>(indices: T) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(count in 0usize..200, steps in prop::collection::vec((any::<bool>(), 0u16..2000), 0..60)) {
            let mut set = RecipientSet::first(count);
            let mut model: BTreeSet<u16> = (0..count as u16).collect();
            for (add, index) in steps {
                if add { set.insert(index); model.insert(index); } else { set.remove(index); model.remove(&index); }
                prop_assert_eq!(set.contains(index), model.contains(&index));
            }
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
