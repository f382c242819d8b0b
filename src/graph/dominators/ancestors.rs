//! From semidominators to dominators: nearest common ancestors in the tree as it grows.
//!
//! Knows numbers that fall on every way up; refuses to know the graph. Walking up step by step is fastest on all graphs
//! met in practice and takes quadratic time on graphs made for it, so walks that get too long go on by leaps.

/// Steps walked for each node, on average, before leaps are prepared.
pub const STEPS_A_NODE: u64 = 32;

/// The immediate dominator by number: the nearest ancestor in the search tree that is not above the semidominator
/// in number, found along the dominators of the parent, which are known already. `parent` becomes the answer.
pub fn nearest_common(mut parent: Vec<u32>, semi: &[u32], steps_a_node: u64) -> Vec<u32> {
    let mut steps_left = steps_a_node.saturating_mul(parent.len() as u64);
    let mut leaps: Option<Leaps> = None;
    for (number, &bound) in semi.iter().enumerate().skip(1) {
        let mut dominator = at(&parent, number as u32);
        if let Some(leaps) = &leaps {
            dominator = leaps.last_at_most(&parent, dominator, bound);
        }
        while dominator > bound {
            dominator = at(&parent, dominator);
            steps_left = steps_left.saturating_sub(1);
        }
        if let Some(slot) = parent.get_mut(number) {
            *slot = dominator;
        }
        match &mut leaps {
            Some(leaps) => leaps.add(dominator),
            None if steps_left == 0 => leaps = Some(Leaps::new(&parent, number)),
            None => {}
        }
    }
    parent
}

fn at(column: &[u32], number: u32) -> u32 {
    column.get(number as usize).copied().unwrap_or(0)
}

/// For each node an ancestor some way up, so that any is reached in logarithmic time (Myers, "An applicative
/// random-access stack", 1983).
struct Leaps {
    depth: Vec<u32>,
    leap: Vec<u32>,
}

impl Leaps {
    /// For the nodes up to `last`, whose parents in the tree are known.
    fn new(above: &[u32], last: usize) -> Self {
        let mut leaps = Leaps { depth: vec![0], leap: vec![0] };
        above.iter().take(last + 1).skip(1).for_each(|&above| leaps.add(above));
        leaps
    }

    /// Adds the next node, which is below `above`.
    fn add(&mut self, above: u32) {
        let (depth, leap) = (|number| at(&self.depth, number), |number| at(&self.leap, number));
        let (first, second) = (leap(above), leap(leap(above)));
        let equal = depth(above) - depth(first) == depth(first) - depth(second);
        let (depth, leap) = (depth(above) + 1, if equal { second } else { above });
        self.depth.push(depth);
        self.leap.push(leap);
    }

    /// The first node on the way up from `number`, itself included, that is at most `bound`.
    fn last_at_most(&self, above: &[u32], mut number: u32, bound: u32) -> u32 {
        while number > bound {
            number = match at(&self.leap, number) {
                leap if leap > bound => leap,
                _ => at(above, number),
            };
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leaps_change_nothing(choices in proptest::collection::vec((0u32..100, 0u32..100), 1..200),
                                steps_a_node in 0u64..3) {
            let (mut parent, mut semi) = (vec![0], vec![0]);
            for (number, &(up, bound)) in (1u32..).zip(&choices) {
                // Mostly a long path, so that leaps go far.
                parent.push(if up < 90 { number - 1 } else { up % number });
                semi.push(bound.min(parent[number as usize]));
            }
            let walked = nearest_common(parent.clone(), &semi, u64::MAX);
            prop_assert_eq!(nearest_common(parent, &semi, steps_a_node), walked);
        }
    }

    #[test]
    fn leaps_are_logarithmic() {
        let nodes = 1 << 20;
        let above: Vec<u32> = (0..nodes).map(|number: u32| number.saturating_sub(1)).collect();
        let leaps = Leaps::new(&above, nodes as usize - 1);
        for bound in [0, 1, 1000, nodes / 3, nodes - 2] {
            let (mut number, mut steps) = (nodes - 1, 0);
            while number > bound {
                let leap = leaps.leap[number as usize];
                number = if leap > bound { leap } else { above[number as usize] };
                steps += 1;
            }
            assert_eq!(number, bound);
            assert!(steps <= 3 * 20, "{steps} steps to {bound}");
        }
    }
}
