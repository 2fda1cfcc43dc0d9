//! The source of randomness of the schemas.

/// A list of numbers, with zeros after its end, so that fewer and smaller numbers make a simpler
/// case when proptest shrinks it.
pub(super) struct RandomSource {
    numbers: std::vec::IntoIter<u16>,
}

impl RandomSource {
    pub(super) fn new(numbers: Vec<u16>) -> Self {
        let numbers = numbers.into_iter();
        Self { numbers }
    }

    /// Returns a number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.numbers.next().unwrap_or_default()) % count.max(1)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}
