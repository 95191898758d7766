//! A short list kept in place, so that a state is one flat value that is cheap to copy and to hash.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// At most `N` items; past its length it holds nothing that counts.
#[derive(Clone, Copy, Debug)]
pub struct List<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Copy + Default, const N: usize> List<T, N> {
    pub fn push(&mut self, item: T) {
        self.items[self.len as usize] = item;
        self.len += 1;
    }

    pub fn remove(&mut self, index: usize) -> T {
        let item = self[index];
        let len = self.len as usize;
        self.items.copy_within(index + 1..len, index);
        self.len -= 1;
        self.items[self.len as usize] = T::default();
        item
    }

    pub fn is_full(&self) -> bool {
        self.len as usize == N
    }

    /// Keeps what `keep` says, in order.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        let old = *self;
        *self = List::default();
        old.iter().filter(|item| keep(item)).for_each(|item| self.push(*item));
    }
}

impl<T: Copy + Default + Ord, const N: usize> List<T, N> {
    /// A list used as a set: one order for one content, so that equal sets are equal states.
    pub fn insert(&mut self, item: T) {
        if !self.contains(&item) {
            self.push(item);
            self.sort_unstable();
        }
    }
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        List { len: 0, items: [T::default(); N] }
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items[..self.len as usize]
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items[..self.len as usize]
    }
}

impl<T: PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for List<T, N> {}

impl<T: Hash, const N: usize> Hash for List<T, N> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}
