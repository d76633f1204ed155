//! How deep a place is.

use super::NESTING_MAX;

/// The brackets around a place, the innermost in the last bit: 1 for those of an object.
#[derive(Default)]
pub(super) struct Nesting {
    are_objects: u64,
    pub(super) depth: usize,
}

impl Nesting {
    #[inline]
    pub(super) fn open(&mut self, bracket: u8) -> Option<()> {
        self.are_objects = self.are_objects << 1 | u64::from(bracket == b'{');
        self.depth += 1;
        (self.depth <= NESTING_MAX).then_some(())
    }

    #[inline]
    pub(super) fn close(&mut self) {
        self.are_objects >>= 1;
        self.depth -= 1;
    }

    #[inline]
    pub(super) fn is_in_object(&self) -> bool {
        self.are_objects & 1 == 1
    }

    #[inline]
    pub(super) fn closing_bracket(&self) -> u8 {
        if self.is_in_object() { b'}' } else { b']' }
    }
}
