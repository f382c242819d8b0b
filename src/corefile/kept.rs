//! Things that are found or made after the core was opened and must live as long as its mappings: debug files
//! that another file names, sections that had to be decompressed.
//!
//! Knows how to add to a list that others already borrow from; refuses to know what is kept.

use std::sync::OnceLock;

/// Most entries of a list: more than the sections of any program's debug files, and less than would hurt.
const MOST: usize = 8192;

/// A list that grows through a shared reference and never moves or drops an entry before it is dropped itself.
#[derive(Debug)]
pub struct Kept<T> {
    slots: Box<[OnceLock<Option<T>>]>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { slots: (0..MOST).map(|_| OnceLock::new()).collect() }
    }
}

impl<T> Kept<T> {
    /// Adds a value and lends it for as long as the list lives; `None` when the list is full.
    ///
    /// Takes time in proportion to the list's length: it is meant for files, not for objects.
    pub fn keep(&self, value: T) -> Option<&T> {
        let mut pending = Some(value);
        self.slots.iter().find_map(|slot| {
            let kept = slot.get_or_init(|| pending.take());
            if pending.is_none() { kept.as_ref() } else { None }
        })
    }

    /// What is kept, in the order of keeping.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map_while(|slot| slot.get()?.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_stays_where_it_is_while_more_is_kept() {
        let kept = Kept::default();
        let first: &String = kept.keep("first".to_owned()).unwrap();
        for number in 0..100 {
            assert_eq!(kept.keep(number.to_string()).map(String::as_str), Some(number.to_string().as_str()));
        }
        assert_eq!(first, "first");
        assert_eq!(kept.iter().count(), 101);
        assert_eq!(kept.iter().last().map(String::as_str), Some("99"));
    }

    #[test]
    fn a_full_list_says_so() {
        let kept = Kept::default();
        assert!((0..MOST).all(|number| kept.keep(number).is_some()));
        assert_eq!(kept.keep(0), None);
    }

    #[test]
    fn threads_may_keep_at_the_same_time() {
        let kept = Kept::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let kept = &kept;
                scope.spawn(move || {
                    (0..100).for_each(|n| assert_eq!(kept.keep((thread, n)), Some(&(thread, n))))
                });
            }
        });
        assert_eq!(kept.iter().count(), 400);
    }
}
