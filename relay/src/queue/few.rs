//! A list that nearly always has one element: that one costs no heap.

use std::ops::Deref;

/// A list that never grows: its one element in place, several on the heap. Sixteen octets for indexes and host ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Few<T>(Inner<T>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Inner<T> {
    One(T),
    /// None, or at least two.
    Many(Box<[T]>),
}

impl<T> Few<T> {
    /// A list of one.
    #[must_use]
    pub const fn one(element: T) -> Self {
        Few(Inner::One(element))
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Inner::One(one) => std::slice::from_ref(one),
            Inner::Many(many) => many,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next()) {
            (Some(one), None) => Few::one(one),
            (first, second) => Few(Inner::Many(first.into_iter().chain(second).chain(elements).collect())),
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(elements: Vec<T>) -> Self {
        elements.into_iter().collect()
    }
}

impl<T, const N: usize> From<[T; N]> for Few<T> {
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_that_it_was_made_of() {
        for list in [vec![], vec![7_u16], vec![1, 2], vec![3, 2, 1]] {
            assert_eq!(*Few::from(list.clone()), list);
        }
    }

    #[test]
    fn it_costs_sixteen_octets() {
        assert_eq!((size_of::<Few<u16>>(), size_of::<Few<u64>>()), (16, 16));
    }
}
